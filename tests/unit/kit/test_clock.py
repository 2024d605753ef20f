from __future__ import annotations

import pytest

from secureflow.kit.clock import MAX_SKEW, ahead_of, differ, is_news, naming_clocks
from secureflow.kit.errors import SecureFlowError

EXPIRED = SecureFlowError("approval_expired", "It has expired.", "Ask again.", {"job": "job_1"})


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (7200, "It has expired. The clock of bank-a is 7200 s ahead of the centre's."),
        (-MAX_SKEW - 1, "It has expired. The clock of bank-a is 301 s behind the centre's."),
    ],
)
def test_an_error_that_a_wrong_clock_causes_says_whose_and_by_how_much(
    ahead: int, said: str
) -> None:
    error = naming_clocks(EXPIRED, "bank-a", ahead)
    assert (error.code, error.message) == ("approval_expired", said)
    assert error.details == {"job": "job_1", "clock_ahead": ahead}
    assert "NTP" in error.hint


@pytest.mark.parametrize("ahead", [None, 0, MAX_SKEW, -MAX_SKEW])
def test_clocks_that_agree_are_not_blamed(ahead: int | None) -> None:
    assert naming_clocks(EXPIRED, "bank-a", ahead) is EXPIRED


def test_other_errors_stay_as_they_are() -> None:
    other = SecureFlowError("not_found", "It is not there.")
    assert naming_clocks(other, "bank-a", 7200) is other


@pytest.mark.parametrize("junk", [None, "1", 1.5, True, -1, 1 << 53, [], {}])
def test_a_foreign_time_that_is_none(junk: object) -> None:
    assert ahead_of(junk, 5) is None
    assert not differ(None)
    assert ahead_of(3, 5) == 2


@pytest.mark.parametrize(
    ("ahead", "before", "said"),
    [
        (7200, None, True),
        (7200, 0, True),
        (7200, MAX_SKEW, True),
        (7201, 7200, False),
        (7200 + MAX_SKEW, 7200, False),
        (7201 + MAX_SKEW, 7200, True),
        (-7200, 7200, True),
        (0, 7200, False),
        (MAX_SKEW, None, False),
    ],
)
def test_a_clock_that_differs_is_said_once(ahead: int, before: int | None, said: bool) -> None:
    assert is_news(ahead, before) is said
