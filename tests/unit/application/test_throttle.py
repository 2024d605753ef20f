from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from secureflow.application.throttle import Throttle


def test_burst_then_rate() -> None:
    now = [0.0]
    throttle = Throttle(2.0, 3, lambda: now[0])
    assert [throttle.take("a") for _ in range(3)] == [0.0] * 3
    assert throttle.take("a") == 0.5
    assert throttle.take("b") == 0.0
    now[0] = 0.5
    assert throttle.take("a") == 0.0
    assert throttle.take("a") > 0


def test_memory_is_bounded() -> None:
    throttle = Throttle(1.0, 1, lambda: 0.0, keys=10)
    for key in range(100):
        throttle.take(str(key))
    assert len(throttle._buckets) == 10


@given(st.lists(st.floats(0, 2), max_size=60))
def test_never_more_than_burst_plus_rate(gaps: list[float]) -> None:
    now = [0.0]
    throttle = Throttle(1.0, 5, lambda: now[0])
    taken = 0
    for gap in gaps:
        now[0] += gap
        taken += throttle.take("k") == 0.0
    assert taken <= 5 + now[0] + 1e-6


def test_what_was_used_already_is_paid_for_later() -> None:
    now = [0.0]
    throttle = Throttle(2.0, 4, lambda: now[0])
    assert throttle.pace("a", 4) == 0.0
    assert throttle.pace("a", 6) == 3.0
    assert throttle.take("a") == 3.5
    now[0] = 3.5
    assert throttle.take("a") == 0.0


def test_what_did_not_count_is_given_back_and_no_more() -> None:
    throttle = Throttle(1.0, 2, lambda: 0.0)
    throttle.take("a")
    for _ in range(5):
        throttle.give_back("a")
    throttle.give_back("b")
    assert [throttle.take("a") > 0 for _ in range(3)] == [False, False, True]
