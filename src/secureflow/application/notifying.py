"""From the ledger to inboxes: reads new entries, and writes what each of them tells to whom.

A cursor in the database says up to which entry that was done; it moves in the transaction that
writes the notifications and the deliveries to other channels. Of several servers the one that moves
the cursor wins; an event is told once per person even if entries move by one place
(`Ledger.continue_as`). What happened before the first start is nobody's news.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from secureflow.application.listing import list_readable
from secureflow.application.occurrences import (
    ADMINS,
    Audience,
    Occurrence,
    enabled,
    occurrences_of,
)
from secureflow.application.ports.bus import Bus
from secureflow.application.ports.ledger import Ledger, LogEntry
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.deliveries import MOST_WAITING, Channel, Delivery
from secureflow.domain.ids import new_id
from secureflow.domain.notificationkinds import KINDS
from secureflow.domain.notifications import (
    MOST_KEPT,
    Notification,
    NotificationKind,
    Preferences,
)
from secureflow.domain.users import User
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

CURSOR: Final = "notified"
"""Name of the setting with the number of the next entry."""
DAMAGED: Final = "record_damaged"
_INBOX_ONLY: Final = frozenset({"webhook_failed"})
"""Kinds that no webhook gets: one that fails would be told of itself."""
_ENTRIES: Final = 200
"""Entries of one transaction."""

Extra = Callable[[UnitOfWork, int], Awaitable[Sequence[Occurrence]]]
"""Returns what the time, not an entry, makes happen."""

_log = get_logger(__name__)


def topic(user: str) -> str:
    """Return the bus topic of a person's notifications."""
    return f"notifications/{user}"


class Notifying:
    """Writes notifications.

    Args:
        begin: starts units of work.
        ledger: its entries are what happened.
        bus: wakes those who watch their inboxes.
        clock: unix seconds.
        channels: the channels beside the inbox that are configured.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        ledger: Ledger,
        bus: Bus,
        clock: Clock,
        channels: frozenset[Channel] = frozenset({"webhook"}),
    ) -> None:
        self._begin = begin
        self._ledger = ledger
        self._bus = bus
        self._clock = clock
        self._channels = channels
        self._held = ""

    async def poll(self) -> None:
        """Tell people what has happened since the last time.

        Raises:
            SecureFlowError: the database is unavailable; nothing is lost.
        """
        await self._tell_hold()
        while await self._advance():
            pass

    async def tell(
        self, occurrences: Callable[[UnitOfWork], Awaitable[Iterable[Occurrence]]]
    ) -> None:
        """Tell people what did not come from the ledger; each event once."""
        async with self._begin() as work:
            told = await self._write(work, await occurrences(work))
            await work.commit()
        await self._wake(told)

    async def _advance(self) -> int:
        """Take the next entries; return how many there were."""
        async with self._begin() as work:
            start = await work.setting(CURSOR)
        if not isinstance(start, int):
            await self._start()
            return 0
        entries, following = await self._read(start)
        if following == start:
            return 0
        try:
            async with self._begin() as work:
                if await work.setting(CURSOR) != start:
                    return 0  # another server took them
                told = await self._write(work, await _occurrences(work, entries))
                await work.set_setting(CURSOR, following)
                await work.commit()
        except SecureFlowError as error:
            if error.code == "stale_version":
                return 0
            raise
        await self._wake(told)
        return following - start

    async def _read(self, start: int) -> tuple[list[LogEntry], int]:
        """Return the next entries, and where those after them begin; one is skipped if damaged."""
        try:
            entries = await self._ledger.entries(start=start, limit=_ENTRIES)
            return entries, entries[-1].index + 1 if entries else start
        except SecureFlowError as error:
            if error.code != DAMAGED:
                raise
        try:
            entries = await self._ledger.entries(start=start, limit=1)
        except SecureFlowError as error:
            if error.code != DAMAGED:
                raise
            _log.warning("entry_not_notified", entry=start, code=error.code)
            return [], start + 1
        return entries, start + len(entries)

    async def _start(self) -> None:
        size = await self._ledger.caught_up()
        async with self._begin() as work:
            if await work.setting(CURSOR) is None:
                await work.set_setting(CURSOR, size)
                await work.commit()

    async def _tell_hold(self) -> None:
        hold = self._ledger.hold
        if hold is None:
            self._held = ""
            return
        event = f"log_set_back/{self._ledger.origin}/{hold.at}"
        if event == self._held:
            return

        async def told(work: UnitOfWork) -> list[Occurrence]:
            members = tuple(one.id for one in await list_readable(work.organisations))
            facts = {"origin": self._ledger.origin}
            everyone = Audience(members, ADMINS, operators=True)
            return [Occurrence(event, "log_set_back", self._clock(), facts, everyone)]

        await self.tell(told)
        self._held = event

    async def _write(self, work: UnitOfWork, occurrences: Iterable[Occurrence]) -> set[str]:
        """Write notifications and deliveries; return who has new ones."""
        told: set[str] = set()
        for occurrence in occurrences:
            told |= await self._write_one(work, occurrence)
        if told:
            await work.notifications.trim(sorted(told), MOST_KEPT)
        return told

    async def _write_one(self, work: UnitOfWork, occurrence: Occurrence) -> set[str]:
        kind = KINDS[occurrence.kind]
        facts = kind.checked(occurrence.facts)
        people = await occurrence.audience.people(work)
        wishes = await _preferences(work, people)
        shown = [
            Notification(0, user.id, kind.name, occurrence.at, facts)
            for user in people
            if wishes[user.id].shows(kind)
        ]
        new = set(await work.notifications.add(occurrence.event, shown)) if shown else set()
        for channel, target, organisation in await self._receivers(
            work, occurrence, kind, wishes, people
        ):
            await self._enqueue(work, occurrence, channel, target, organisation)
        return new

    async def _receivers(
        self,
        work: UnitOfWork,
        occurrence: Occurrence,
        kind: NotificationKind,
        wishes: dict[str, Preferences],
        people: Sequence[User],
    ) -> list[tuple[Channel, str, str]]:
        found: list[tuple[Channel, str, str]] = []
        if "email" in self._channels:
            found += [
                ("email", user.id, user.organisation)
                for user in people
                if wishes[user.id].mails(kind)
            ]
        whose = occurrence.audience.organisations
        if "webhook" in self._channels and whose and kind.name not in _INBOX_ONLY:
            there = sorted(await enabled(work, whose))
            hooks = await list_readable(work.webhooks, organisation=there) if there else []
            found += [
                ("webhook", one.id, one.organisation) for one in hooks if one.wants(kind.name)
            ]
        return found

    async def _enqueue(
        self, work: UnitOfWork, what: Occurrence, channel: Channel, target: str, organisation: str
    ) -> None:
        now = self._clock()
        if await work.deliveries.count(target=target, state="waiting") >= MOST_WAITING:
            _log.warning("delivery_dropped", channel=channel, target=target, kind=what.kind)
            return
        delivery = Delivery(
            new_id("dlv"), f"{what.event}/{channel}/{target}", channel, target, organisation,
            what.kind, what.at, dict(KINDS[what.kind].checked(what.facts)), now, now,
        )  # fmt: skip
        try:
            await work.deliveries.add(delivery)
        except SecureFlowError as error:
            if error.code != "already_exists":
                raise

    async def _wake(self, users: Iterable[str]) -> None:
        for user in users:
            await self._bus.publish(topic(user))


async def _occurrences(work: UnitOfWork, entries: Sequence[LogEntry]) -> list[Occurrence]:
    found: list[Occurrence] = []
    for entry in entries:
        try:
            found += await occurrences_of(work, entry)
        except SecureFlowError as error:
            if error.code != DAMAGED:
                raise
            _log.warning("entry_not_notified", entry=entry.index, code=error.code)
    return found


async def _preferences(work: UnitOfWork, people: Sequence[User]) -> dict[str, Preferences]:
    wishes = {user.id: Preferences(user.id) for user in people}
    if wishes:
        stored = await list_readable(work.preferences, id=sorted(wishes))
        wishes |= {one.id: one for one in stored}
    return wishes
