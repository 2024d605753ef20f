"""The one stream of an open page: what changed of all that its person may see.

A message of a job holds its row as lists show it, and nothing that the person may not see: the
project is looked at for each change as it is then. Of a job that the page follows every event is
sent; of others the newest state once for many changes. Every message has the cursor of its change;
a page that shows the last one it got goes on after it, at whichever server. A cursor that is no
longer known (too old, or from before a backup was restored) is answered with `reset`: reload.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from secureflow.application.access import Principal, require, sees_work_in
from secureflow.application.feed import Feed, Shown
from secureflow.application.ports.changes import ChangeKind, Position
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.domain.jobs import JobSummary
from secureflow.domain.notifications import Notification
from secureflow.engines.script import ENCLAVE
from secureflow.kit.clock import Ticks

POSITION_SECONDS: Final = 15.0
"""Seconds after which a page learns where it stands, though nothing was for it."""
MOST_FOLLOWED: Final = 20
"""Jobs of which a page is sent every event."""
_TIMETABLE: Final = "timetable"


@dataclass(frozen=True)
class Message:
    """A message to a page.

    `kind` is `hello`, `reset`, `job`, `timetable`, `notification`, `inbox` or `link`; "" only tells
    where the page stands. `cursor` is "" for none.
    """

    cursor: str
    kind: str
    data: dict[str, Any]


class Live:
    """The streams of open pages.

    Args:
        begin: starts units of work.
        feed: the changes.
        ticks: paces messages that only tell a place.
        stopping: ends streams.
    """

    def __init__(
        self, begin: UnitOfWorkFactory, feed: Feed, ticks: Ticks, stopping: Callable[[], bool]
    ) -> None:
        self._begin = begin
        self._feed = feed
        self._ticks = ticks
        self._stopping = stopping

    def check(self, principal: Principal) -> None:
        """Refuse a caller whose token is good for no such stream.

        Raises:
            SecureFlowError: `scope_too_narrow`.
        """
        require(principal, "job.read")

    async def messages(
        self, principal: Principal, after: str = "", jobs: Sequence[str] = ()
    ) -> AsyncGenerator[Message, None]:
        """Yield what changes for a person, after a cursor or from now on.

        Args:
            principal: the person.
            after: the cursor of the last message that the page got; "" for a new page.
            jobs: those of which every event is sent.
        """
        followed = frozenset(jobs[:MOST_FOLLOWED])
        async with self._feed.watching() as woken:
            place = await self._feed.place(after) if after else None
            if place is None:
                newest = await self._feed.newest()
                place = newest.position if newest else (0, 0)
                cursor = newest.cursor if newest else ""
                kind = "reset" if after else "hello"
                yield Message(cursor, kind, {"unread": await self._unread(principal)})
            async with aclosing(self._from(principal, place, followed, woken)) as coming:
                async for message in coming:
                    yield message

    async def _from(
        self,
        principal: Principal,
        place: Position,
        followed: frozenset[str],
        woken: asyncio.Event,
    ) -> AsyncGenerator[Message, None]:
        told = self._ticks()
        while not self._stopping():
            woken.clear()
            found = await self._feed.after(place)
            for one in _merged(found, followed):
                place = one.change.position
                message = await self._message(principal, one, followed)
                if message is not None:
                    told = self._ticks()
                    yield message
            if found:
                place = found[-1].change.position
                if self._ticks() - told >= POSITION_SECONDS:
                    told = self._ticks()
                    yield Message(found[-1].change.cursor, "", {})
                continue
            await woken.wait()

    async def _message(
        self, principal: Principal, one: Shown, followed: frozenset[str]
    ) -> Message | None:
        change = one.change
        match change.kind:
            case ChangeKind.JOB | ChangeKind.EVENT:
                if one.job is None or one.project is None:
                    return None
                if not sees_work_in(principal, one.project):
                    return None
                kind = _TIMETABLE if one.job.kind == _TIMETABLE else "job"
                return Message(change.cursor, kind, _row(one, one.job, followed))
            case ChangeKind.NOTIFICATION | ChangeKind.READ if change.about == principal.user:
                return await self._told(principal, one)
            case ChangeKind.LINK if await self._sees_link(principal, change.about):
                return Message(change.cursor, "link", {**change.data, "party": change.about})
        return None

    async def _told(self, principal: Principal, one: Shown) -> Message | None:
        change = one.change
        async with self._begin() as work:
            unread = await work.notifications.unread(principal.user)
            told: Notification | None = None
            if change.kind is ChangeKind.NOTIFICATION:
                told = await work.notifications.find(principal.user, change.ref)
        if told is None:
            return Message(change.cursor, "inbox", {"unread": unread})
        return Message(change.cursor, "notification", {"unread": unread, "notification": told})

    async def _sees_link(self, principal: Principal, party: str) -> bool:
        if principal.operator or party in {ENCLAVE, principal.organisation}:
            return True
        if not principal.organisation:
            return False
        async with self._begin() as work:
            shared = await work.projects.list(active=[principal.organisation], limit=1000)
        return any(project.has_member(party) for project in shared.items)

    async def _unread(self, principal: Principal) -> int:
        async with self._begin() as work:
            return await work.notifications.unread(principal.user)


def _row(one: Shown, job: JobSummary, followed: frozenset[str]) -> dict[str, Any]:
    if one.event is None or job.id not in followed:
        return {"job": job}
    event = one.event
    return {
        "job": job,
        "event": {"id": event.id, "kind": event.kind, "at": event.at, "data": event.data},
    }


def _merged(found: Sequence[Shown], followed: frozenset[str]) -> Iterator[Shown]:
    """Yield changes in order, of those of a job that is not followed only the last."""
    last = {one.change.about: place for place, one in enumerate(found) if one.job is not None}
    for place, one in enumerate(found):
        if one.job is None or one.job.id in followed or last[one.change.about] == place:
            yield one
