"""Time as an argument: whoever needs the time is given a clock, so tests decide what time it is.

Two machines' clocks are compared when they meet, and the difference is *told*: beside errors that a
wrong clock causes, in logs and in statuses. Nothing is decided by another machine's clock.
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
"""Returns monotonic seconds: for rates and patience, never for dates."""

LOOK: Final = 1.0
"""Seconds between the looks of whoever waits for others: so it notices its own standstill."""
STOOD: Final = 1.0
"""Seconds by which a look may come late; beyond that, this process itself stood still."""

MAX_SKEW: Final = 300
"""Seconds by which two clocks may differ before certificates, verdicts and approvals suffer."""

CLOCK_CODES: Final = frozenset(
    {"approval_expired", "attestation_expired", "certificate_not_valid_now", "evidence_not_fresh"}
)
"""Errors that a wrong clock causes."""


def system_clock() -> int:
    """Return the machine's time in unix seconds."""
    return int(time.time())


def stood_still(asked: float, took: float) -> bool:
    """Tell whether this process itself stood still: it asked to be woken and came far too late.

    A stopped process, a machine that slept: nobody else was silent meanwhile. What others said
    waits to be read, so whoever waits for them begins to wait anew.
    """
    return took - asked > STOOD


def ahead_of(theirs: object, own: int) -> int | None:
    """Return by how many seconds the own clock is ahead of a foreign time, None for no time."""
    return own - theirs if type(theirs) is int and 0 <= theirs < 1 << 53 else None


def differ(ahead: int | None) -> bool:
    """Tell whether a difference of clocks is more than may be."""
    return ahead is not None and abs(ahead) > MAX_SKEW


def is_news(ahead: int, before: int | None) -> bool:
    """Tell whether a difference of clocks is to be said, that was `before` when it was looked at.

    Clocks are compared at every ping: one that differs is said once, and again when it was set.
    """
    if not differ(ahead):
        return False
    return before is None or not differ(before) or differ(ahead - before)


def naming_clocks(error: SecureFlowError, whose: str, ahead: int | None) -> SecureFlowError:
    """Return an error that a wrong clock may have caused with the difference named in it.

    Args:
        error: the error; others than those of `CLOCK_CODES` stay as they are.
        whose: the owner of the clock that is compared with the centre's.
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
    """Say by how much a clock differs from the centre's; which one is wrong, nobody knows here."""
    if ahead > 0:
        return Text(
            "The clock of {whose} is {seconds} s ahead of the centre's.",
            whose=whose,
            seconds=ahead,
        )
    return Text(
        "The clock of {whose} is {seconds} s behind the centre's.", whose=whose, seconds=-ahead
    )
