"""Readiness: which parts work now, told in time even where a part hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from secureflow.kit.clock import Ticks

READY_SECONDS: Final = 1.0
"""How long an answer stands: anybody may ask, as often as they like."""
WRITE_SECONDS: Final = 5.0
"""The same for one that costs a durable write."""
PATIENCE: Final = 2.0
"""Seconds that a part has to show that it works; one that hangs is looked after, not asked anew."""

Attempt = Callable[[], Awaitable[object]]


@dataclass
class Dependency:
    """Something the server needs: `attempt` fails where it does not work.

    Args:
        attempt: tries the part.
        stands: seconds that an answer holds.
    """

    attempt: Attempt
    stands: float = READY_SECONDS
    asked: float | None = None
    trial: asyncio.Task[bool] | None = None


class ReadinessProbe:
    """Tells which parts work; whoever asks again at once gets the same answer."""

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
        # Not cancelled where it takes longer: half a transaction would lie about in a thread.
        await asyncio.wait(trials.values(), timeout=self._patience)
        return {name: trial.done() and trial.result() for name, trial in trials.items()}

    async def stop(self) -> None:
        """End trials that hang."""
        trials = [part.trial for part in self._parts.values() if part.trial is not None]
        for trial in trials:
            trial.cancel()
        await asyncio.gather(*trials, return_exceptions=True)

    def _trial(self, part: Dependency) -> asyncio.Task[bool]:
        """Return the newest trial, or a fresh one where its answer no longer stands."""
        now, trial = self._ticks(), part.trial
        fresh = part.asked is not None and now - part.asked < part.stands
        if trial is None or (trial.done() and not fresh):
            part.asked = now
            trial = part.trial = asyncio.create_task(_works(part.attempt))
        return trial


async def _works(attempt: Attempt) -> bool:
    try:
        await attempt()
    except Exception:  # noqa: BLE001  whatever it is, the part does not work now
        return False
    return True
