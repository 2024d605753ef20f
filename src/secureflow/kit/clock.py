"""Time as an argument: whoever needs the time is given a clock, so tests decide what time it is."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns the time in whole unix seconds."""

Ticks = Callable[[], float]
"""Returns monotonic seconds: for rates and patience, never for dates."""


def system_clock() -> int:
    """Return the machine's time in unix seconds."""
    return int(time.time())
