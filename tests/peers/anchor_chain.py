"""A chain in this process that applies the rules: blocks, reorgs, a mempool that forgets, outages.

Its time is the event loop's. Transactions have nonces per account as on an EVM; one can also be
invalidated when it is included, as Fabric does on a conflict (MVCC): it is then lost. A node can be
down, answer late, lose its answers, and lie for a while.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

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
from secureflow.application.ports.anchoroutbox import key_of
from secureflow.engines.anchors import rules
from secureflow.engines.anchors.entries import Admit, AnchorHead, Entry, binding, parse_entry
from secureflow.engines.anchors.money import owed
from secureflow.engines.anchors.state import Member, State, found
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError

LIMIT: Final = 20


def word(*parts: object) -> bytes:
    """Return 32 bytes that stand for something."""
    return hashlib.sha256(repr(parts).encode()).digest()


@functools.cache
def member(place: str, name: object) -> Member:
    """Return a member with its account, by a key drawn from its name."""
    key = SigningKey.from_seed(word("key", name))
    public, account = key.private.public_key().public_bytes_raw(), word("account", name)
    signature = key.private.sign(binding(place, public, account))
    return Member(public, account, (signature[:32], signature[32:]))


def away() -> InfrastructureError:
    """Return the error of a place that cannot be asked."""
    return InfrastructureError("anchor_unavailable", "The node is down.", "Wait.")


@dataclass(frozen=True)
class Transaction:
    """A signed one."""

    id: str
    account: bytes
    nonce: int
    entries: tuple[Entry, ...]


@dataclass
class Block:
    """Its transactions with what each did, and the state and nonces after it."""

    number: int
    hash: str
    at: int
    state: State
    nonces: dict[bytes, int]
    done: list[tuple[Transaction, tuple[rules.Applied, ...] | None]] = field(default_factory=list)


@dataclass
class Weather:
    """What goes wrong at the node for now."""

    down: bool = False
    mute: float = 0.0
    """How probably an answer is lost: the deed is done."""
    slow: float = 0.0
    """Seconds that an answer may take."""
    lie: Callable[[Outcome], Outcome] | None = None
    forgetful: bool = False
    """The node takes transactions and forgets them."""


class Chain:
    """See the module.

    Args:
        place: its name.
        members: who may send.
        window: seconds of disputes.
        confirmations: blocks after which something is final.
        dice: draws delays and lost answers.
        clock: unix seconds.
    """

    def __init__(
        self,
        place: str,
        members: Sequence[Member],
        window: int = 100,
        confirmations: int = 1,
        *,
        dice: random.Random | None = None,
        clock: Callable[[], float] | None = None,
        make: Make = "evm",
    ) -> None:
        self.make: Make = make
        self.place = place
        self.members = tuple(members)
        self.confirmations = confirmations
        self.dice = dice or random.Random(place)
        self.weather = Weather()
        self.ahead = 0
        """Seconds by which the place's clock was moved."""
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        state = found(place, members, window)
        self.blocks = [Block(0, "00" * 32, self.now(), state, {})]
        self.pool: dict[str, Transaction] = {}
        self.invalid: set[str] = set()
        """Transactions that will be included without effect."""
        self._where: dict[str, tuple[int, int]] = {}
        self.deep = False
        """Whether ever something final was reorganised."""
        self._branch = 0

    def now(self) -> int:
        """Return the place's time."""
        return int(self._clock()) + self.ahead

    def put(self, transaction: Transaction) -> None:
        """Take a transaction into the mempool, if it can still be included."""
        fresh = transaction.nonce >= self.blocks[-1].nonces.get(transaction.account, 0)
        if fresh and not self.weather.forgetful:
            self.pool.setdefault(transaction.id, transaction)

    def mine(self) -> None:
        """Make a block of what can be included."""
        last = self.blocks[-1]
        ready = any(one.nonce == last.nonces.get(one.account, 0) for one in self.pool.values())
        block = Block(
            last.number + 1,
            word("block", self.place, self._branch, last.hash, len(self.pool)).hex(),
            max(self.now(), last.at),
            copy.deepcopy(last.state) if ready else last.state,
            dict(last.nonces),
        )
        for one in sorted(self.pool.values(), key=lambda one: one.nonce):
            if one.nonce == block.nonces.get(one.account, 0):
                block.nonces[one.account] = one.nonce + 1
                self._where[one.id] = (block.number, len(block.done))
                block.done.append((one, self._execute(block, one)))
                del self.pool[one.id]
            elif one.nonce < block.nonces.get(one.account, 0):
                del self.pool[one.id]
        self.blocks.append(block)

    def _execute(self, block: Block, one: Transaction) -> tuple[rules.Applied, ...] | None:
        if one.id in self.invalid:
            return None
        return rules.apply_batch(block.state, one.entries, one.account, block.at)

    def reorganise(self, depth: int, *, forget: bool = False) -> None:
        """Take the newest blocks back; their transactions wait again, unless they are forgotten."""
        depth = min(depth, len(self.blocks) - 1)
        self.deep |= depth >= self.confirmations
        self._branch += 1
        gone = [self.blocks.pop() for _ in range(depth)]
        for block in reversed(gone):
            for one, _ in block.done:
                del self._where[one.id]
                if not forget:
                    self.pool.setdefault(one.id, one)

    @property
    def final(self) -> int:
        """Number of the newest final block."""
        return max(0, len(self.blocks) - self.confirmations)

    def find(self, transaction: str) -> tuple[Block, int] | None:
        """Return where a transaction is included."""
        place = self._where.get(transaction)
        return None if place is None else (self.blocks[place[0]], place[1])

    def events(self, start: int = 0) -> list[Happened]:
        """Return everything that is kept finally, from a block on."""
        return [one for block in self.blocks[start : self.final + 1] for one in self._events(block)]

    def _events(self, block: Block) -> list[Happened]:
        made: list[Happened] = []
        for transaction, applied in block.done:
            for one in applied or ():
                if one.result in ("kept", "fork"):
                    where = Position(block.number, block.hash, len(made))
                    event = one.events[0]
                    made.append(
                        Happened(
                            event.entry, event.sender, one.result, where, transaction.id, event.at
                        )
                    )
        return made


class ChainAnchor:
    """An account's view of a chain: implements `Anchor`."""

    def __init__(self, chain: Chain, own: Member) -> None:
        self.chain = chain
        self.own = own
        self.sent = 0
        """Transactions that arrived."""
        self.closed = False

    @property
    def make(self) -> Make:
        return self.chain.make

    @property
    def place(self) -> str:
        return self.chain.place

    @property
    def account(self) -> bytes:
        return self.own.account

    @property
    def limit(self) -> int:
        return LIMIT

    async def _asked(self) -> None:
        await asyncio.sleep(self.chain.dice.random() * self.chain.weather.slow)
        if self.chain.weather.down:
            raise away()

    async def _answered(self) -> None:
        await asyncio.sleep(self.chain.dice.random() * self.chain.weather.slow)
        if self.chain.weather.down or self.chain.dice.random() < self.chain.weather.mute:
            raise away()

    async def prepare(self, entries: Sequence[Entry], unfinished: Sequence[Ticket]) -> Ticket:
        await self._asked()
        nonces = [one.body["nonce"] + 1 for one in unfinished]
        nonce = max([self.chain.blocks[-1].nonces.get(self.account, 0), *nonces])
        body = {"nonce": nonce, "entries": [one.json() for one in entries]}
        await self._answered()
        return Ticket(word(self.place, self.account, body).hex(), body)

    async def send(self, ticket: Ticket) -> None:
        await self._asked()
        self.sent += 1
        self.chain.put(self._signed(ticket))
        await self._answered()

    def _signed(self, ticket: Ticket) -> Transaction:
        entries = tuple(parse_entry(one) for one in ticket.body["entries"])
        return Transaction(ticket.id, self.account, ticket.body["nonce"], entries)

    async def outcome(self, ticket: Ticket) -> Outcome:
        await self._asked()
        outcome = self._outcome(ticket)
        await self._answered()
        return self.chain.weather.lie(outcome) if self.chain.weather.lie else outcome

    def _outcome(self, ticket: Ticket) -> Outcome:
        chain = self.chain
        place = chain.find(ticket.id)
        if place is None:
            final = chain.blocks[chain.final].nonces.get(self.account, 0)
            return Outcome("lost" if final > ticket.body["nonce"] else "waiting")
        block, index = place
        depth = len(chain.blocks) - block.number
        applied = block.done[index][1]
        final = depth >= chain.confirmations
        where = Position(block.number, block.hash, index)
        if applied is None:
            return Outcome("lost") if final else Outcome("waiting", where, depth=depth)
        results: tuple[Result, ...] = tuple(one.result for one in applied)
        reasons = tuple(one.reason for one in applied)
        if not final:
            return Outcome("waiting", where, results, reasons, depth=depth)
        receipt = {"block": block.number, "hash": block.hash, "transaction": ticket.id}
        return Outcome("final", where, results, reasons, receipt, depth)

    async def happened(self, after: Position | None, limit: int = 500) -> Page:
        await self._asked()
        chain = self.chain
        gone = self.gone(after)
        start = None if after is None or gone else (after.block, after.index)
        fresh = [
            one
            for one in chain.events(0 if start is None else start[0])
            if start is None or (one.position.block, one.position.index) > start
        ]
        page = tuple(fresh[:limit])
        tip = chain.blocks[chain.final]
        cursor = (
            page[-1].position if len(fresh) > limit else Position(tip.number, tip.hash, 1 << 30)
        )
        await self._answered()
        return Page(page, cursor, gone)

    def gone(self, after: Position | None) -> bool:
        """Return whether a cursor's block is none of the chain's final ones any more."""
        chain = self.chain
        return after is not None and (
            after.block > chain.final or chain.blocks[after.block].hash != after.hash
        )

    async def heads(self, log: bytes) -> Sequence[AnchoredHead]:
        await self._asked()
        return [
            AnchoredHead(one.entry.log, one.entry.size, one.entry.root, one.sender, one.position)
            for one in self.chain.events()
            if isinstance(one.entry, AnchorHead) and one.entry.log == log
        ][-1000:]

    async def members(self) -> Sequence[Admit]:
        await self._asked()
        now = self.chain.blocks[self.chain.final].state.members
        return [
            Admit(one.key, one.account, one.signature)
            for one in self.chain.members
            if one.key.hex() in now
        ]

    async def owed(self, payer: bytes, payee: bytes, currency: bytes) -> int:
        await self._asked()
        return owed(self.chain.blocks[self.chain.final].state, payer, payee, currency)

    async def checked(self, receipt: JSON, entry: Entry) -> bool:
        await self._asked()
        if not isinstance(receipt, dict) or not isinstance(receipt.get("transaction"), str):
            return False
        place = self.chain.find(receipt["transaction"])
        if place is None:
            return False
        block, index = place
        one, applied = block.done[index]
        same = (receipt.get("block"), receipt.get("hash")) == (block.number, block.hash)
        good = {key_of(kept) for kept, did in zip(one.entries, applied or (), strict=True)
                if did.result != "refused"}  # fmt: skip
        return same and block.number <= self.chain.final and key_of(entry) in good

    async def probe(self) -> Probe:
        if self.chain.weather.down:
            return Probe((("place", self.place),), "The node is down.", "Wait.")
        return Probe((("place", self.place), ("block", str(len(self.chain.blocks) - 1))))

    async def close(self) -> None:
        self.closed = True


def lying(mode: str) -> Callable[[Outcome], Outcome]:
    """Return how a node lies about outcomes."""

    def lie(outcome: Outcome) -> Outcome:
        if mode == "lost":
            return Outcome("lost")
        if mode == "nothing":
            return Outcome("waiting")
        turned: dict[Any, Any] = {"kept": "refused", "refused": "kept", "known": "refused"}
        results = tuple(turned.get(one, one) for one in outcome.results)
        if mode == "early" and outcome.position is not None:
            return replace(outcome, state="final", receipt={"false": True})
        return replace(outcome, results=results, receipt=None)

    return lie
