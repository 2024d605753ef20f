"""A place in memory that judges by the rules of every place; each member has its own view of it.

It can be away, reorganise nothing, and have a member whom nobody knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from secureflow.application.ports.anchor import (
    AnchoredHead,
    Happened,
    Make,
    Outcome,
    Page,
    Position,
    Probe,
    Result,
    Ticket,
)
from secureflow.engines.anchors import money, rules
from secureflow.engines.anchors.entries import Admit, AnchorHead, Entry, binding, parse_entry
from secureflow.engines.anchors.state import Member, found
from secureflow.kit.canonical import b64decode, canonical_bytes
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError


def member(place: str, key: SigningKey, account: bytes | None = None) -> Admit:
    """Return a member whose charter key signed its account; by default the key itself."""
    raw = b64decode(key.public)
    account = account or raw
    signature = key.private.sign(binding(place, raw, account))
    return Admit(raw, account, (signature[:32], signature[32:]))


@dataclass
class MemoryPlace:
    """See the module."""

    name: str
    admitted: list[Admit]
    away: bool = False
    now: int = 1_800_000_000
    events: list[Happened] = field(default_factory=list)
    tickets: dict[str, tuple[Position, tuple[Result, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        listed = [Member(one.member, one.account, one.signature) for one in self.admitted]
        self.state = found(self.name, listed, 60, checks=False)

    def take(self, account: bytes, transaction: str, entries: Sequence[Entry]) -> None:
        """Keep what a transaction carries, once."""
        if transaction in self.tickets:
            return
        block = len(self.tickets) + 1
        results = []
        for index, entry in enumerate(entries):
            applied = rules.apply(self.state, entry, account, self.now)
            results.append(applied.result)
            position = Position(block, f"{block:064x}", index)
            for event in applied.events:
                if event.name in ("kept", "fork"):
                    self.events.append(
                        Happened(entry, event.sender, event.name, position, transaction, self.now)
                    )
        self.tickets[transaction] = Position(block, f"{block:064x}"), tuple(results)

    def say(self, account: bytes, *entries: Entry) -> None:
        """Have a member send entries by itself."""
        self.take(account, hashlib.sha256(repr(entries).encode()).hexdigest(), entries)


@dataclass
class PlaceView:
    """The place as one account sees it: an `Anchor`."""

    at: MemoryPlace
    account: bytes
    make: Make = "file"
    limit: int = 50
    sent: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        return self.at.name

    async def prepare(self, entries: Sequence[Entry], unfinished: Sequence[Ticket]) -> Ticket:
        self._there()
        body: dict[str, Any] = {"entries": [one.json() for one in entries]}
        salted = canonical_bytes({**body, "after": [one.id for one in unfinished]})
        return Ticket(hashlib.sha256(self.account + salted).hexdigest(), body)

    async def send(self, ticket: Ticket) -> None:
        self._there()
        self.sent.append(ticket.id)
        entries = [parse_entry(one) for one in ticket.body["entries"]]
        self.at.take(self.account, ticket.id, entries)

    async def outcome(self, ticket: Ticket) -> Outcome:
        self._there()
        if ticket.id not in self.at.tickets:
            return Outcome("waiting")
        position, results = self.at.tickets[ticket.id]
        receipt = {"transaction": ticket.id, "block": position.block}
        return Outcome("final", position, results, receipt=receipt, depth=1)

    async def happened(self, after: Position | None, limit: int = 500) -> Page:
        self._there()
        start = 0 if after is None else after.index
        page = tuple(self.at.events[start : start + limit])
        end = start + len(page)
        cursor = Position(page[-1].position.block, page[-1].position.hash, end) if page else after
        return Page(page, cursor)

    async def heads(self, log: bytes) -> Sequence[AnchoredHead]:
        self._there()
        return [
            AnchoredHead(log, one.entry.size, one.entry.root, one.sender, one.position)
            for one in self.at.events
            if isinstance(one.entry, AnchorHead) and one.entry.log == log
        ]

    async def members(self) -> Sequence[Admit]:
        self._there()
        return list(self.at.admitted)

    async def owed(self, payer: bytes, payee: bytes, currency: bytes) -> int:
        self._there()
        return money.owed(self.at.state, payer, payee, currency)

    async def checked(self, receipt: Any, entry: Entry) -> bool:
        self._there()
        known = receipt if isinstance(receipt, Mapping) else {}
        return any(
            one.transaction == known.get("transaction") and one.entry == entry
            for one in self.at.events
        )

    async def probe(self) -> Probe:
        if self.at.away:
            return Probe((), "the place does not answer", "Try again later.")
        return Probe((("entries", str(len(self.at.events))),))

    async def close(self) -> None:
        self.at.away = True

    def _there(self) -> None:
        if self.at.away:
            raise InfrastructureError("anchor_unavailable", "The place does not answer.")
