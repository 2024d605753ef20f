"""Places that others than the operator keep: heads of the log and business events go there.

A place is a contract on a chain, a Fabric chaincode, or a file at another party's agent. What
is sent is signed before it is stored, and stored before it leaves, so that a sender that is killed
sends the same bytes again; every entry is kept once, however often it arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from secureflow.engines.anchors.entries import Admit, Entry
from secureflow.kit.canonical import JSON

Make = Literal["evm", "fabric", "file"]
Result = Literal["kept", "known", "fork", "refused"]
"""Kept; known from before; kept beside another that contradicts it; against the rules."""


@dataclass(frozen=True)
class Ticket:
    """A signed transaction that carries entries: stored before anything leaves.

    Args:
        id: the transaction's own name (hash or id) in lowercase hex.
        body: what the driver needs to send it again and to find it; nothing secret.
    """

    id: str
    body: JSON


@dataclass(frozen=True)
class Position:
    """Where something stands at a place, in its own order.

    Args:
        block: number of the block; of the line in a file.
        hash: the block's hash in lowercase hex; a place that was reorganised has another one.
        index: within the block.
    """

    block: int
    hash: str
    index: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of a ticket.

    Args:
        state: `waiting` (not included, or not deep enough), `final`, `lost` (it will never be
            included: its entries need a new ticket).
        position: where it is included.
        results: of each entry in their order, once it is included.
        reasons: of each entry, why it was refused (`engines.anchors.judged.REASONS`), else empty;
            none at all where the place does not say.
        receipt: what proves it to others, once it is final.
        depth: blocks from it to the newest, itself included; 0 if it is not included.
    """

    state: Literal["waiting", "final", "lost"]
    position: Position | None = None
    results: tuple[Result, ...] = ()
    reasons: tuple[str, ...] = ()
    receipt: JSON = None
    depth: int = 0


@dataclass(frozen=True)
class Happened:
    """An entry that a place keeps.

    Args:
        sender: charter key of the member whose account sent it, in lowercase hex.
        at: unix seconds by the place's clock.
    """

    entry: Entry
    sender: str
    result: Result
    position: Position
    transaction: str
    at: int


@dataclass(frozen=True)
class Page:
    """What happened after a cursor.

    Args:
        events: in the place's order, only final ones.
        cursor: for the next page; stored by the reader together with what it did.
        reorganised: the cursor's block is none of the place's any more: the reader begins at the
            page's events again, and what it read twice is known by entry and transaction.
    """

    events: tuple[Happened, ...]
    cursor: Position | None
    reorganised: bool = False


@dataclass(frozen=True)
class AnchoredHead:
    """A head that a place keeps; several roots of one size are a fork."""

    log: bytes
    size: int
    root: bytes
    sender: str
    position: Position


@dataclass(frozen=True)
class Probe:
    """Whether a place can be used, for the doctor: facts in words, and what is wrong."""

    facts: tuple[tuple[str, str], ...]
    problem: str = ""
    hint: str = ""


class Anchor(Protocol):
    """A place where entries are kept, as one member's account sees it.

    Every method may raise `anchor_unavailable` (an `InfrastructureError`: try again later) or
    `anchor_refused` (the place does not take this account or speaks no known version).
    """

    @property
    def make(self) -> Make:
        """What kind of place it is."""

    @property
    def place(self) -> str:
        """Which one: `evm:<chain id>:<address>`, `fabric:<channel>:<chaincode>`, `file:<key>`."""

    @property
    def account(self) -> bytes:
        """The 32-byte name of the sending account at the place (`entries.Admit`)."""

    async def prepare(self, entries: Sequence[Entry], unfinished: Sequence[Ticket]) -> Ticket:
        """Sign a transaction that carries the entries; nothing leaves but reading questions.

        Args:
            entries: at least one, at most `limit`.
            unfinished: tickets of this account that are neither final nor lost, oldest first.
        """

    @property
    def limit(self) -> int:
        """Entries that one ticket may carry."""

    async def send(self, ticket: Ticket) -> None:
        """Send it, or send it again: that does no harm."""

    async def outcome(self, ticket: Ticket) -> Outcome:
        """Return what became of it by now; a final outcome stays."""

    async def happened(self, after: Position | None, limit: int = 500) -> Page:
        """Return what was kept after a cursor, oldest first."""

    async def heads(self, log: bytes) -> Sequence[AnchoredHead]:
        """Return the newest heads of a log, and all its forks, at most 1,000."""

    async def members(self) -> Sequence[Admit]:
        """Return the members by now, each with its account and the signature that binds them.

        The reader checks them: a place is believed only if each is in its pinned charter.
        """

    async def owed(self, payer: bytes, payee: bytes, currency: bytes) -> int:
        """Return the minor units that the payer owes the payee by what is kept."""

    async def checked(self, receipt: JSON, entry: Entry) -> bool:
        """Return whether the place holds what a receipt says: for one who audits with a node."""

    async def probe(self) -> Probe:
        """Return what the doctor shows; unavailability is a problem in it, not an error."""

    async def close(self) -> None:
        """Close connections."""
