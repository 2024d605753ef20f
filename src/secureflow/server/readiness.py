"""Readiness: which parts work now, answered in time even if a part hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from secureflow.kit.clock import Ticks

READY_SECONDS: Final = 1.0
"""How long an answer is cached, in seconds: anyone may ask, as often as they like."""
WRITE_SECONDS: Final = 5.0
"""The same for a check that costs a durable write."""
PATIENCE: Final = 2.0
"""Seconds within which a part must answer; a hanging check is kept, not started again."""

Attempt = Callable[[], Awaitable[object]]


@dataclass
class Dependency:
    """A dependency of the server: `attempt` raises if it does not work.

    Args:
        attempt: tries the part.
        stands: seconds for which an answer is cached.
    """

    attempt: Attempt
    stands: float = READY_SECONDS
    asked: float | None = None
    trial: asyncio.Task[bool] | None = None


class ReadinessProbe:
    """Tells which parts work; answers are cached briefly."""

    def __init__(
        self,
        parts: dict[str, Dependency],
        ticks: Ticks = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self._parts = parts
        self._ticks = ticks
        self._patience = patience

    async def __call__(self) -> dict[str, bool]:
        """Return each part and whether it works."""
        trials = {name: self._trial(part) for name, part in self._parts.items()}
        # Not cancelled if it takes longer: a thread would be left in the middle of a transaction.
        await asyncio.wait(trials.values(), timeout=self._patience)
        return {name: trial.done() and trial.result() for name, trial in trials.items()}

    async def stop(self) -> None:
        """Cancel hanging trials."""
        trials = [part.trial for part in self._parts.values() if part.trial is not None]
        for trial in trials:
            trial.cancel()
        await asyncio.gather(*trials, return_exceptions=True)

    def _trial(self, part: Dependency) -> asyncio.Task[bool]:
        """Return the newest trial, or a fresh one if its answer has expired."""
        now, trial = self._ticks(), part.trial
        fresh = part.asked is not None and now - part.asked < part.stands
        if trial is None or (trial.done() and not fresh):
            part.asked = now
            trial = part.trial = asyncio.create_task(_works(part.attempt))
        return trial


async def _works(attempt: Attempt) -> bool:
    try:
        await attempt()
    except Exception:  # noqa: BLE001  whatever the error, the part does not work now
        return False
    return True
