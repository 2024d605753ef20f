"""Time as an argument: code that needs the time is given a clock, so that tests control it.

Two machines compare their clocks when they connect, and the difference is *reported*: with errors
that a wrong clock causes, in logs and in statuses. No decision depends on another machine's clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Clock = Callable[[], int]
"""Returns the time in whole unix seconds."""

Ticks = Callable[[], float]
"""Returns monotonic seconds: for rates and timeouts, never for dates."""

CHECK_INTERVAL: Final = 1.0
"""Seconds between the checks of a loop that waits for others, to notice its own stalls."""
STALL_TOLERANCE: Final = 1.0
"""Seconds by which such a check may be late; beyond that this process itself was stalled."""

MAX_SKEW: Final = 300
"""Seconds by which two clocks may differ before certificates, verdicts and approvals suffer."""

CLOCK_CODES: Final = frozenset(
    {"approval_expired", "attestation_expired", "certificate_not_valid_now", "evidence_not_fresh"}
)
"""Errors that a wrong clock causes."""


def system_clock() -> int:
    """Return the machine's time in unix seconds."""
    return int(time.time())


def stalled(asked: float, took: float) -> bool:
    """Tell whether this process itself was stalled: a sleep took far longer than asked.

    The process was stopped or the machine slept, so the others were not silent. Their messages wait
    to be read, so a timeout for them starts over.
    """
    return took - asked > STALL_TOLERANCE


def ahead_of(theirs: object, own: int) -> int | None:
    """Return by how many seconds our clock is ahead of a foreign time; None without one."""
    return own - theirs if type(theirs) is int and 0 <= theirs < 1 << 53 else None


def differ(ahead: int | None) -> bool:
    """Tell whether two clocks differ by more than is tolerated."""
    return ahead is not None and abs(ahead) > MAX_SKEW


def is_news(ahead: int, before: int | None) -> bool:
    """Tell whether a clock difference should be logged, given the one `before`.

    Clocks are compared at every ping: a difference is logged once, and again when it changes.
    """
    if not differ(ahead):
        return False
    return before is None or not differ(before) or differ(ahead - before)


def naming_clocks(error: SecureFlowError, whose: str, ahead: int | None) -> SecureFlowError:
    """Return the error, with the clock difference in it if a wrong clock may have caused it.

    Args:
        error: the error; codes outside `CLOCK_CODES` are returned unchanged.
        whose: the owner of the clock compared with the centre's.
        ahead: by how many seconds it is ahead.
    """
    if ahead is None or not differ(ahead) or error.code not in CLOCK_CODES:
        return error
    return SecureFlowError(
        error.code,
        Text("{message} {difference}", message=error.message, difference=difference(whose, ahead)),
        "Set the clock that is wrong (NTP), on that machine; then try again.",
        {**error.details, "clock_ahead": ahead},
    )


def difference(whose: str, ahead: int) -> str:
    """Describe by how much a clock differs from the centre's; either may be the wrong one."""
    if ahead > 0:
        return Text(
            "The clock of {whose} is {seconds} s ahead of the centre's.",
            whose=whose,
            seconds=ahead,
        )
    return Text(
        "The clock of {whose} is {seconds} s behind the centre's.", whose=whose, seconds=-ahead
    )
