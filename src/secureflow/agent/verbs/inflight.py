"""What is being done for each job right now, so that it can be stopped at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from secureflow.kit.canonical import JSON

Answer = dict[str, JSON]


@dataclass(eq=False)
class _Request:
    """A request that is being answered, by a task, until `cancel` ends it."""

    task: asyncio.Task[Any]
    stopped: bool = False


class InFlight:
    """The requests that are being answered, by job."""

    def __init__(self) -> None:
        self._requests: dict[str, set[_Request]] = {}

    async def run(self, job: str, work: Coroutine[Any, Any, Answer]) -> Answer | None:
        """Return what comes of a request; None if `cancel` ended it."""
        task = asyncio.current_task()
        if task is None:
            message = "a request outside of a task"
            raise RuntimeError(message)
        request, mine = _Request(task), self._requests.setdefault(job, set())
        mine.add(request)
        try:
            return await work
        except asyncio.CancelledError:
            if not request.stopped or task.uncancel():  # whoever waits for it is cancelled as well
                raise
            return None
        finally:
            mine.discard(request)
            if not mine and self._requests.get(job) is mine:
                del self._requests[job]

    def cancel(self, job: str) -> None:
        """End what is being done for a job; who waits for it gets None."""
        for request in self._requests.get(job, ()):
            if not request.stopped:
                request.stopped = True
                request.task.cancel()
