"""The agent's outbox for anchors, in its record: each method one transaction, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from secureflow.agent.record.store import RecordStore
from secureflow.application.ports.anchor import Happened, Outcome, Page, Position, Ticket
from secureflow.application.ports.anchoroutbox import Carried, Queued, TicketState, Verdict
from secureflow.engines.anchors.entries import Entry

TOLD: Final = "anchor/told"
"""The fact that has by place up to which entry the centre was told."""
T = TypeVar("T")
Hear = Callable[[str, Sequence[Happened]], None]


class RecordOutbox:
    """Implements `AnchorOutbox`; deeds add their entries by `RecordStore.add_anchor_entries`.

    Args:
        store: the record.
        hear: does what follows from a place's events that were not stored before, in the
            transaction that stores them; an error keeps the cursor where it was.
    """

    def __init__(
        self,
        store: RecordStore,
        hear: Hear | None = None,
    ) -> None:
        self._store = store
        self._hear = hear

    async def _done(self, work: Callable[[], T]) -> T:
        def run() -> T:
            with self._store.transaction():
                return work()

        return await asyncio.to_thread(run)

    async def queued(self, place: str, limit: int) -> Sequence[Queued]:
        """Return entries that no ticket carries."""
        return self._store.queued_anchor_entries(place, limit)

    async def carried(self, place: str) -> Sequence[Carried]:
        """Return the tickets that are neither final nor lost."""
        return self._store.carried_anchor_entries(place)

    async def awaiting(self, place: str, ticket: str) -> Sequence[tuple[int, Entry]]:
        """Return the entries that await a ticket's end."""
        return self._store.awaiting_anchor_entries(place, ticket)

    async def prepared(self, place: str, ticket: Ticket, numbers: Sequence[int]) -> bool:
        """Store a ticket before it is sent, if its entries are all queued."""
        return await self._done(lambda: self._store.add_anchor_ticket(place, ticket, numbers))

    async def moved(self, place: str, ticket: str, state: TicketState, at: Position | None) -> None:
        """Store how far a ticket is."""
        await self._done(lambda: self._store.move_anchor_ticket(place, ticket, state, at))

    async def lost(self, place: str, ticket: str) -> None:
        """Forget a ticket and queue its entries again."""
        await self._done(lambda: self._store.drop_anchor_ticket(place, ticket))

    async def finished(
        self, place: str, ticket: str, outcome: Outcome, verdicts: Sequence[Verdict], now: int
    ) -> None:
        """Store what became of a ticket's entries."""
        await self._done(
            lambda: self._store.finish_anchor_ticket(place, ticket, outcome, verdicts, now)
        )

    async def cursor(self, place: str) -> Position | None:
        """Return up to where events are stored."""
        return self._store.anchor_cursor(place)

    async def heard(self, place: str, page: Page, member: str) -> Sequence[Happened]:
        """Store a page's events with its cursor."""
        return await self._done(lambda: self._heard(place, page, member))

    def _heard(self, place: str, page: Page, member: str) -> Sequence[Happened]:
        if page.reorganised:
            self._tell_again(place, self._store.doubt_anchor_tickets(place))
            self._store.doubt_anchor_events(place)
        fresh = [one for one in page.events if self._store.add_anchor_event(place, one)]
        for one in page.events:
            if one.sender == member:
                self._store.correct_anchor_entry(place, one)
        self._store.set_anchor_cursor(place, page.cursor)
        if self._hear is not None:
            self._hear(place, fresh)
        return fresh

    def _tell_again(self, place: str, first: int | None) -> None:
        """Have the centre told anew of entries from this number on: they may stand elsewhere."""
        told = dict(self._store.fact(TOLD) or {})
        if first is not None and told.get(place, 0) >= first:
            self._store.set_fact(TOLD, {**told, place: first - 1})

    async def tellers(self, place: str, entries: Sequence[Entry]) -> dict[str, frozenset[str]]:
        """Return by natural key whose stored events are of just that entry."""
        return self._store.anchor_tellers(place, entries)

    async def forgot(self, place: str) -> bool:
        """Return whether events were pruned."""
        return self._store.anchor_events_pruned(place)

    async def prune(self, place: str, member: str) -> int:
        """Remove the oldest of what is over beyond what is kept."""
        return await self._done(lambda: self._store.prune_anchor_rows(place, member))
