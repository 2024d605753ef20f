"""Which jobs keep a process with code between their calls: so many at once, none for ever.

A job has a place from its first call on, whether its process lives or not: so what code does to its
own process moves no other job. It loses the place when nothing was asked of it for some time, or
when another job needs one and nobody has rested longer. Where all places are taken by jobs that
compute, the next job waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class WarmPlaces:
    """The places of one agent.

    Args:
        most: places.
        idle: seconds after a call until its job loses its place.
        end: has a job's process end, if there is one, and does not wait for that; nothing is asked
            of the process from then on.
    """

    def __init__(self, most: int, idle: float, end: Callable[[str], None]) -> None:
        self._most = most
        self._idle = idle
        self._end = end
        self._busy: dict[str, object] = {}
        self._resting: dict[str, asyncio.TimerHandle] = {}
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def held(self, job: str, wanted: Callable[[], bool]) -> AsyncIterator[None]:
        """Hold a place while a job computes; may wait for one.

        One call of a job at a time.

        Args:
            job: its id.
            wanted: whether the job still is; it takes nobody's place when it has ended meanwhile.
        """
        own = object()
        kept = self._resting.pop(job, None)
        if kept is not None:
            kept.cancel()
            self._busy[job] = own
        else:
            async with self._turn:  # whoever came first
                await self._room(wanted)
                if wanted():
                    self._busy[job] = own
        try:
            yield
        finally:
            if self._busy.get(job) is own:  # the job may have ended meanwhile
                del self._busy[job]
                loop = asyncio.get_running_loop()
                self._resting[job] = loop.call_later(self._idle, self._cool, job)
                self._tell()

    async def _room(self, wanted: Callable[[], bool]) -> None:
        """Return when a place is free, or not wanted; who has rested longest makes room."""
        while wanted() and len(self._busy) + len(self._resting) >= self._most:
            if self._resting:
                self._cool(next(iter(self._resting)))
            else:
                await self._freed.wait()

    def leave(self, job: str) -> None:
        """Give up a job's place: it has ended."""
        self._busy.pop(job, None)
        if kept := self._resting.pop(job, None):
            kept.cancel()
        self._tell()

    def _tell(self) -> None:
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()

    def _cool(self, job: str) -> None:
        """Take the place of a job that rests; nobody waits until its process is gone."""
        if kept := self._resting.pop(job, None):
            kept.cancel()
            self._tell()
            self._end(job)
