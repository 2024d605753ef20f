from __future__ import annotations

from secureflow.kit.backoff import Backoff


def test_a_backoff_doubles_up_to_the_longest_and_starts_over() -> None:
    backoff = Backoff(0.25, 1.5)
    assert [backoff.next() for _ in range(5)] == [0.25, 0.5, 1.0, 1.5, 1.5]
    backoff.reset()
    assert [backoff.next() for _ in range(2)] == [0.25, 0.5]
    backoff.exhaust()
    assert [backoff.next() for _ in range(2)] == [1.5, 1.5]
