"""One reader of the feed of changes for all open pages of this server.

However many pages are open, the database is asked once for what is new: after each commit of this
server that changed something, and once a second for what other servers did. Nobody watches:
nothing is asked. A page keeps no queue here, only its place in the feed: one that is slow, or that
comes back, reads what it missed from the database. Jobs are shown as they are when they are read,
so of many changes of a job only the newest state matters.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from secureflow.application.listing import list_readable
from secureflow.application.ports.changes import Change, ChangeKind, Position
from secureflow.application.ports.storage import Event, UnitOfWork, UnitOfWorkFactory
from secureflow.domain.jobs import JobSummary
from secureflow.domain.projects import Project
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

_log = get_logger(__name__)

LOOK_SECONDS: Final = 1.0
"""Seconds between looks for what other servers did."""
MERGE_SECONDS: Final = 0.05
"""Seconds between two reads: a busy job changes many times a second."""
LINK_SECONDS: Final = 0.2
"""Seconds in which changes of links are collected: an agent that dials again was not away."""
KEPT: Final = 1024
"""Changes kept in memory for pages that are a little behind."""
PAGE: Final = 500
_OF_JOBS: Final = frozenset({ChangeKind.JOB, ChangeKind.EVENT})


@dataclass(frozen=True)
class Shown:
    """A change with what a page shows of it: the job's row, its project, and the event."""

    change: Change
    job: JobSummary | None = None
    project: Project | None = None
    event: Event | None = None


class Feed:
    """Follows the changes of the database.

    Args:
        begin: starts units of work.
        clock: unix seconds.
        look: seconds between looks when nothing was changed here.
    """

    def __init__(self, begin: UnitOfWorkFactory, clock: Clock, look: float = LOOK_SECONDS) -> None:
        self._begin = begin
        self._clock = clock
        self._look = look
        self._kept: deque[Shown] = deque()
        self._from: Position = (0, 0)
        """The position before the oldest change that is kept."""
        self._read: Position = (0, 0)
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._woken: set[asyncio.Event] = set()
        self._links: dict[str, bool] = {}
        self._linked = asyncio.Event()

    def linked(self, party: str, connected: bool) -> None:
        """Tell that an agent's link opened or is gone; it is written soon."""
        self._links[party] = connected
        self._linked.set()

    async def keep_links(self) -> None:
        """Write the changes of links, until cancelled: the newest state of each."""
        while True:
            await self._linked.wait()
            await asyncio.sleep(LINK_SECONDS)
            self._linked.clear()
            links, self._links = self._links, {}
            try:
                await self._write_links(links)
            except SecureFlowError as error:  # a database that is away: the next look tells
                _log.info("links_not_told", code=error.code)
            except Exception:  # noqa: BLE001  the edge of a task: an unavailable database comes back
                _log.exception("links_not_told")

    async def _write_links(self, links: Mapping[str, bool]) -> None:
        async with self._begin() as work:
            for party, connected in links.items():
                told = {"connected": connected, "at": self._clock()}
                work.changes.note(ChangeKind.LINK, party, data=told)
            await work.commit()

    def changed(self) -> None:
        """Read soon: something was committed here."""
        self._changed.set()

    async def open(self) -> None:
        """Begin the feed of a server that starts."""
        async with self._begin() as work:
            await work.changes.open()
            await work.commit()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[asyncio.Event]:
        """Follow the changes inside the block; the event is set whenever to look again.

        That is after changes, and now and then without any.
        """
        woken = asyncio.Event()
        self._woken.add(woken)
        if self._reader is None:
            self._reader = asyncio.create_task(self._follow())
        try:
            yield woken
        finally:
            self._woken.discard(woken)
            if not self._woken:
                await self._stop()

    async def newest(self) -> Change | None:
        """Return the last change."""
        async with self._begin() as work:
            return await work.changes.newest()

    async def place(self, cursor: str) -> Position | None:
        """Return the position of a reader's cursor; None if it is unknown, or too old."""
        number, _, mark = cursor.partition("-")
        if not number.isascii() or not number.isdecimal() or len(number) > 15:
            return None
        async with self._begin() as work:
            found = await work.changes.find(int(number), mark)
        return None if found is None else found.position

    async def after(self, position: Position) -> Sequence[Shown]:
        """Return changes after a position, at most some hundred."""
        if self._reader is not None and self._from <= position <= self._read:
            return [one for one in self._kept if one.change.position > position][:PAGE]
        return await self._load(position)

    async def _stop(self) -> None:
        reader, self._reader = self._reader, None
        self._kept.clear()
        self._from = self._read = (0, 0)
        if reader is not None:
            reader.cancel()
            await asyncio.wait([reader])

    async def _follow(self) -> None:
        """Read what is new until cancelled."""
        last: Position | None = None
        while True:
            self._changed.clear()
            try:
                if last is None:
                    newest = await self.newest()
                    last = newest.position if newest is not None else (0, 0)
                    self._from = self._read = last
                last = await self._take(last)
            except SecureFlowError as error:  # a database that is away: later
                _log.info("feed_behind", code=error.code)
            except Exception:  # noqa: BLE001  the edge of a task: pages must not stand still for it
                _log.exception("feed_behind")
            for one in self._woken:
                one.set()
            await asyncio.sleep(MERGE_SECONDS)
            await _set_within(self._changed, self._look)

    async def _take(self, last: Position) -> Position:
        while found := await self._load(last):
            last = found[-1].change.position
            self._kept.extend(found)
            while len(self._kept) > KEPT:
                self._from = self._kept.popleft().change.position
            self._read = last
        return last

    async def _load(self, position: Position) -> Sequence[Shown]:
        async with self._begin() as work:
            return await shown(work, await work.changes.after(position, PAGE))


async def shown(work: UnitOfWork, changes: Sequence[Change]) -> list[Shown]:
    """Return changes with the rows of their jobs, as they are now; unreadable ones without."""
    keys = sorted({one.about for one in changes if one.kind in _OF_JOBS})
    if not keys:
        return [Shown(one) for one in changes]
    jobs = {job.id: JobSummary.of(job) for job in await list_readable(work.jobs, id=keys)}
    whose = sorted({job.project for job in jobs.values()})
    projects = {one.id: one for one in await list_readable(work.projects, id=whose)}
    numbers = [one.ref for one in changes if one.kind is ChangeKind.EVENT]
    events = {one.id: one for one in (await work.events.of(numbers) if numbers else ())}

    def one(change: Change) -> Shown:
        job = jobs.get(change.about) if change.kind in _OF_JOBS else None
        project = projects.get(job.project) if job is not None else None
        event = events.get(change.ref) if change.kind is ChangeKind.EVENT else None
        return Shown(change, job, project, event)

    return [one(change) for change in changes]


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
