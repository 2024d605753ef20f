"""The signs of life of an engine's process: what it says, what it moves, what it computes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from secureflow.adapters.mpcengines.measured import usage

TICK: Final = 0.5
"""Seconds between two looks at a process."""
BUSY: Final = 0.05
"""Share of a processor that is a sign of life; who waits for a peer uses less."""


class Life:
    """One process.

    Args:
        moved: returns when bytes of its connections moved last (`time.monotonic`).
        idle: seconds without a sign after which it is quiet.
    """

    def __init__(self, moved: Callable[[], float], idle: float) -> None:
        self._moved = moved
        self._idle = idle
        self._said = self._worked = self._looked = time.monotonic()
        self._seconds = self._signed = 0.0
        self.peak = 0
        """Bytes of memory at its peak."""

    def sign(self) -> None:
        """It has said something."""
        self._said = self._worked = time.monotonic()

    def look(self, pid: int) -> None:
        """Look at a process and what it started."""
        found, now = usage(pid), time.monotonic()
        self.peak = max(self.peak, found.peak)
        if found.seconds - self._seconds > BUSY * (now - self._looked):
            self._worked = now
        if found.seconds - self._signed > BUSY * TICK:  # a little each time is life, if not work
            self._signed = found.seconds
            self._said = now
        self._seconds, self._looked = found.seconds, now

    @property
    def quiet(self) -> bool:
        """Whether it has neither computed nor talked for too long."""
        return time.monotonic() - max(self._said, self._moved()) > self._idle

    def works(self, seconds: float) -> bool:
        """Tell whether it has computed or talked in the last seconds: others wait for it."""
        return time.monotonic() - max(self._worked, self._moved()) < seconds
