from __future__ import annotations

from secureflow.kit.pauses import Pauses


def test_pauses_double_up_to_the_longest_and_begin_anew() -> None:
    pauses = Pauses(0.25, 1.5)
    assert [pauses.next() for _ in range(5)] == [0.25, 0.5, 1.0, 1.5, 1.5]
    pauses.restart()
    assert [pauses.next() for _ in range(2)] == [0.25, 0.5]
    pauses.exhaust()
    assert [pauses.next() for _ in range(2)] == [1.5, 1.5]
