"""What is being done for each job right now, so that it can be stopped at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from secureflow.kit.canonical import JSON

Answer = dict[str, JSON]


class InFlight:
    """The requests that are being answered, by job."""

    def __init__(self) -> None:
        self._tasks: dict[str, set[asyncio.Task[Answer]]] = {}

    async def run(self, job: str, work: Coroutine[Any, Any, Answer]) -> Answer | None:
        """Return what comes of a request; None if `cancel` ended it."""
        task = asyncio.ensure_future(work)
        mine = self._tasks.setdefault(job, set())
        mine.add(task)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        finally:
            mine.discard(task)
            if not mine:
                self._tasks.pop(job, None)
        return None if task.cancelled() else task.result()

    def cancel(self, job: str) -> None:
        """End what is being done for a job; who waits for it gets None."""
        for task in self._tasks.get(job, ()):
            task.cancel()
