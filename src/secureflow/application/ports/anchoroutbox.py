"""Entries on their way to places that others keep: a transactional outbox.

An entry is added in the transaction of the deed that it tells of, once for each place and deed (its
natural key), so neither is there without the other. From there it goes

    queued → prepared → sent → included → final, or refused
       ↑___________________________|  lost

A ticket with its signed bytes is stored before anything leaves (`prepared`), so a sender that is
killed sends the same bytes again. What a place says is believed once two readings agree, and agree
with what it tells everybody (`anchorverdicts`); until then nothing is final.

Nothing that is on its way is ever dropped. What is final stays as a receipt; of each place the
newest `MOST_ENDED` entries and `MOST_EVENTS` events are kept (`prune`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from secureflow.application.ports.anchor import Happened, Outcome, Page, Position, Result, Ticket
from secureflow.engines.anchors.entries import AnchorHead, Entry
from secureflow.kit.canonical import JSON

EntryState = Literal["queued", "prepared", "sent", "included", "final", "refused"]
TicketState = Literal["prepared", "sent", "included", "final"]

MOST_ENDED: Final = 100_000
"""Final and refused entries kept of one place."""
MOST_EVENTS: Final = 100_000
"""Events kept of one place."""
MOST_DOUBTED: Final = 1_000
"""Newest final tickets that are looked at again when a place was reorganised."""
_NO_SIGNATURE: Final = (bytes(32), bytes(32))


def key_of(entry: Entry) -> str:
    """Return an entry's natural key: its digest, of a head without who signed it how."""
    if isinstance(entry, AnchorHead):
        entry = replace(entry, signature=_NO_SIGNATURE)
    return entry.digest.hex()


@dataclass(frozen=True)
class Queued:
    """An entry that no ticket carries yet.

    Args:
        number: its place in the order in which the entries were added.
        entry: the deed.
        at: unix seconds when it was added.
    """

    number: int
    entry: Entry
    at: int


@dataclass(frozen=True)
class Carried:
    """A ticket that is neither final nor lost.

    Args:
        ticket: with its signed bytes.
        state: how far it is.
        position: where it was included when that was last looked at.
    """

    ticket: Ticket
    state: TicketState
    position: Position | None = None


@dataclass(frozen=True)
class Sent:
    """One entry and what became of it, for people and for the audit.

    Args:
        number: in the order in which the entries were added.
        place: where it goes.
        entry: the deed.
        state: how far it is.
        at: unix seconds when it was added.
        ticket: the transaction's name; empty while it is queued.
        result: once it is final or refused.
        reason: as in `Verdict`.
        position: where it is included.
        receipt: what proves it to others, once it is final.
        ended: unix seconds when it became final or refused.
    """

    number: int
    place: str
    entry: Entry
    state: EntryState
    at: int
    ticket: str = ""
    result: Result | None = None
    reason: str = ""
    position: Position | None = None
    receipt: JSON = None
    ended: int | None = None

    @property
    def proven(self) -> bool:
        """Tell whether the receipt proves the entry to others."""
        return self.state == "final" and self.receipt is not None and not self.reason


@dataclass(frozen=True)
class Verdict:
    """What one entry of a finished ticket came to.

    Args:
        result: what it counts as.
        reason: why it is refused; of one that is kept all the same, why its ticket's receipt does
            not prove it.
    """

    result: Result
    reason: str = ""


class AnchorOutbox(Protocol):
    """Stores all of this; every method is one transaction.

    Every method may raise an `InfrastructureError` of the store: try again later.
    """

    async def queued(self, place: str, limit: int) -> Sequence[Queued]:
        """Return entries that no ticket carries, in the order in which they were added."""

    async def carried(self, place: str) -> Sequence[Carried]:
        """Return the tickets that are neither final nor lost, oldest first."""

    async def awaiting(self, place: str, ticket: str) -> Sequence[tuple[int, Entry]]:
        """Return the entries that await a ticket's end, each with its index in the ticket."""

    async def prepared(self, place: str, ticket: Ticket, numbers: Sequence[int]) -> bool:
        """Store a ticket that carries these entries in this order.

        Returns:
            False, and nothing is stored, if one of them is queued no more.
        """

    async def moved(self, place: str, ticket: str, state: TicketState, at: Position | None) -> None:
        """Store how far a ticket is that is not final."""

    async def lost(self, place: str, ticket: str) -> None:
        """Forget a ticket; its entries are queued again, where they were in the order."""

    async def finished(
        self, place: str, ticket: str, outcome: Outcome, verdicts: Sequence[Verdict], now: int
    ) -> None:
        """Store what became of a ticket's entries; a second time changes nothing."""

    async def cursor(self, place: str) -> Position | None:
        """Return up to where the place's events are stored here."""

    async def heard(self, place: str, page: Page, member: str) -> Sequence[Happened]:
        """Store a page's events with its cursor; return those that were not stored before.

        An entry of this member that counts as refused is final if the page has it. On a page that
        says that the place was reorganised, the newest `MOST_DOUBTED` final tickets are `included`
        again, and no event of before counts until it is told again.
        """

    async def tellers(self, place: str, entries: Sequence[Entry]) -> dict[str, frozenset[str]]:
        """Return by natural key whose stored events are of just that entry, signature included.

        Events of before a reorganisation count once the place tells them again.
        """

    async def forgot(self, place: str) -> bool:
        """Return whether events of the place were pruned."""

    async def prune(self, place: str, member: str) -> int:
        """Remove the oldest of what is over beyond what is kept; return how many.

        Events of this member are counted apart: nobody else's crowd them out.
        """
