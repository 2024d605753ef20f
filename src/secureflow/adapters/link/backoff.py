"""Back-off before redialling: exponential with jitter, so that parties do not return all at once.

The wait doubles from `FIRST` to `LAST` while dialling fails and starts over once a link was up.
"""

from __future__ import annotations

import asyncio
import random
from typing import Final

from secureflow.kit.backoff import Backoff

FIRST: Final = 0.1
LAST: Final = 15.0


class JitteredBackoff:
    """The waits between attempts, in seconds; none is longer than `last` (by default `LAST`)."""

    def __init__(self, last: float | None = None) -> None:
        self._ceilings = Backoff(FIRST, LAST if last is None else last)

    def reset(self) -> None:
        """Start over: an attempt succeeded."""
        self._ceilings.reset()

    def exhaust(self) -> None:
        """Use the longest wait: the other end gave a reason for refusing."""
        self._ceilings.exhaust()

    def next(self) -> float:
        """Return the next wait."""
        ceiling = self._ceilings.next()
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311  jitter, not a secret

    async def wait(self) -> None:
        """Sleep for the next wait."""
        await asyncio.sleep(self.next())
