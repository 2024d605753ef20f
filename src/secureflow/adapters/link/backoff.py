"""Waiting before dialling again: exponential with jitter, so that parties do not return as one.

The wait doubles from `FIRST` to `LAST` while dialling fails and starts over once a link stood.
"""

from __future__ import annotations

import asyncio
import random
from typing import Final

from secureflow.kit.pauses import Pauses

FIRST: Final = 0.1
LAST: Final = 15.0


class Backoff:
    """The waits between attempts, in seconds; none is longer than `last` (by default `LAST`)."""

    def __init__(self, last: float | None = None) -> None:
        self._ceilings = Pauses(FIRST, LAST if last is None else last)

    def reset(self) -> None:
        """An attempt succeeded: begin anew."""
        self._ceilings.restart()

    def exhaust(self) -> None:
        """There is no hurry: the other end said why it refuses."""
        self._ceilings.exhaust()

    def next(self) -> float:
        """Return the next wait."""
        ceiling = self._ceilings.next()
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311  jitter, not a secret

    async def wait(self) -> None:
        """Sleep for the next wait."""
        await asyncio.sleep(self.next())
