"""`application.ports.anchor.Anchor` over a Fabric peer's gateway.

A ticket is a whole transaction: endorsed and signed when it is prepared, stored, and only then
given to the orderers, so that a sender that is killed gives them the same bytes again. A second
copy is invalid by its transaction id (DUPLICATE_TXID), and what happened to the first one counts. A
transaction that lost a race for a key (MVCC_READ_CONFLICT) or is otherwise invalid did nothing and
never will: it is `lost`, and its entries need a new ticket.

A reader that is a few blocks behind reads those, and its cursor then stands behind the last of
them; one that is further behind has the chaincode's events streamed, resumed behind the transaction
at its cursor.

A block of Fabric is final. A channel whose block at the cursor has another hash is another channel
under the same name, which a reader learns as a reorganisation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from secureflow.adapters.anchors.fabric.account import account_of
from secureflow.adapters.anchors.fabric.events import MOST_ENTRIES, Done, Strange, done_of
from secureflow.adapters.anchors.fabric.failures import error_of, refused
from secureflow.adapters.anchors.fabric.process import GatewayFailure, GatewayProcess
from secureflow.application.ports.anchor import (
    AnchoredHead,
    Happened,
    Make,
    Outcome,
    Page,
    Position,
    Probe,
    Ticket,
)
from secureflow.engines.anchors.entries import Admit, Entry
from secureflow.kit.canonical import JSON, canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

_ANSWER_BYTES: Final = 8 << 20
_MOST_HEADS: Final = 1000
_MOST_POSITIONS: Final = 4096
_AWAITED: Final = 16
"""Unfinished transactions, the newest ones, that are waited for."""
_END: Final = 2**31 - 1
"""Index of a cursor that stands behind everything of its block."""
_SHOWN: Final = 80
_OTHER: Final = "the chaincode was begun under another name"


@dataclass(frozen=True)
class FabricPlace:
    """Which chaincode of which channel, through which peer, as whom.

    Args:
        target: host and port of a peer's gateway.
        ca: PEM of the CA of its TLS certificate; no other is trusted.
        channel, chaincode: names.
        msp: id of the member's MSP.
        certificate: PEM, of the member's client identity.
        host: the name in the peer's TLS certificate, if it is another one than the target's.
        client: PEM certificate for mutual TLS, if the peer asks for one.
        patience: seconds for a call.
        wait: seconds that the outcome of a transaction that is in no block yet is waited for.
        quiet: seconds without a streamed event after which a page ends.
        near: blocks that are read one by one instead.
    """

    target: str
    ca: bytes
    channel: str
    chaincode: str
    msp: str
    certificate: bytes
    host: str = ""
    client: bytes = b""
    patience: float = 15.0
    wait: float = 1.0
    quiet: float = 0.5
    near: int = 32


@dataclass(frozen=True)
class FabricKeys:
    """Private keys as PEM: of the identity, and of the certificate for mutual TLS."""

    identity: bytes = field(repr=False)
    client: bytes = field(default=b"", repr=False)


class FabricAnchor:
    """One member's view of a place on a channel.

    Args:
        where: the place.
        python: gives the interpreter of the environment `fabric` (`secureflow engine install`).
        keys: gives the private keys: from 0600 files, unwrapped by the key vault if wrapped.

    Raises:
        SecureFlowError: `anchor_refused`: the certificate cannot be read.
    """

    def __init__(
        self,
        where: FabricPlace,
        python: Callable[[], Path],
        keys: Callable[[], FabricKeys],
    ) -> None:
        self._where = where
        self._account = account_of(where.msp, where.certificate)
        self._positions: dict[str, Position] = {}  # of transactions that heads name: they are final
        self._known = False
        self._keys = keys
        self.gateway = GatewayProcess(python, self._opening)

    @property
    def make(self) -> Make:
        """See `Anchor.make`."""
        return "fabric"

    @property
    def place(self) -> str:
        """See `Anchor.place`."""
        return f"fabric:{self._where.channel}:{self._where.chaincode}"

    @property
    def account(self) -> bytes:
        """See `Anchor.account`: `account_of` MSP id and certificate."""
        return self._account

    @property
    def limit(self) -> int:
        """See `Anchor.limit`."""
        return MOST_ENTRIES

    async def prepare(self, entries: Sequence[Entry], unfinished: Sequence[Ticket]) -> Ticket:
        """See `Anchor.prepare`. Peers simulate the transaction; nothing is ordered yet.

        What is simulated reads what is committed. So the account's own unfinished transactions are
        waited for a little: one that rests on theirs would lose against them.
        """
        if not 0 < len(entries) <= self.limit:
            raise ValueError(len(entries))
        await self._own()
        wait = self._where.wait
        await asyncio.gather(
            *(self._ask("status", transaction=one.id, wait=wait) for one in unfinished[-_AWAITED:])
        )
        batch = canonical_bytes([one.json() for one in entries]).decode()
        told = await self._ask("prepare", args=["batch", batch])
        return Ticket(str(told["transaction"]), {"envelope": str(told["envelope"])})

    async def begin(self, members: Sequence[Mapping[str, JSON]], window: int) -> Ticket:
        """Return the transaction that begins the place, for a chaincode that demands an init.

        Args:
            members: `member`, `account` and both halves of `signature` of each, as hex.
            window: seconds for disputes.
        """
        given = {"place": self.place, "window": window, "members": [dict(one) for one in members]}
        args = ["init", canonical_bytes(given).decode()]
        told = await self._ask("prepare", args=args, init=True)
        return Ticket(str(told["transaction"]), {"envelope": str(told["envelope"])})

    async def send(self, ticket: Ticket) -> None:
        """See `Anchor.send`."""
        await self._ask("submit", transaction=ticket.id, envelope=ticket.body["envelope"])

    async def outcome(self, ticket: Ticket) -> Outcome:
        """See `Anchor.outcome`."""
        wait = self._where.wait
        told = await self._ask("status", transaction=ticket.id, wait=wait)
        if told["block"] is None:
            return Outcome("waiting")
        if told["code"] != "VALID":
            return Outcome("lost")
        done = await self._done(ticket.id)
        if done is None:  # a peer behind the one that answered
            return Outcome("waiting")
        if done.code != "VALID":
            raise self._strange()
        height = (await self._ask("info"))["height"]
        receipt = {
            "place": self.place,
            "transaction": done.id,
            "block": done.block,
            "hash": done.hash,
            "index": done.index,
        }
        depth = max(1, height - done.block)
        return Outcome("final", done.position(), done.results, done.reasons, receipt, depth)

    async def happened(self, after: Position | None, limit: int = 500) -> Page:
        """See `Anchor.happened`."""
        height = (await self._ask("info"))["height"]
        start, behind, found, moved = await self._resumed(after)
        told = await self._ask(
            "page", start=start, after=behind, height=height, limit=limit,
            quiet=self._where.quiet, near=self._where.near,
        )  # fmt: skip
        for one in told["transactions"]:
            found += self._read(one).happened()
        events, through = tuple(found[:limit]), told["through"]
        if through is not None and len(found) <= limit:
            return Page(events, Position(through["block"], through["hash"], _END), moved)
        return Page(events, events[-1].position if events else None if moved else after, moved)

    async def _resumed(self, after: Position | None) -> tuple[int, str, list[Happened], bool]:
        """Return where to go on: block, transaction in it, what its batch still has; or anew."""
        if after is None:
            return 0, "", [], False
        block = await self._ask("block", number=after.block)
        if block["hash"] != after.hash:
            return 0, "", [], True
        if after.index == _END:
            return after.block + 1, "", [], False
        done = self._at(block["transactions"], after.index // MOST_ENTRIES)
        rest = [one for one in done.happened() if one.position.index > after.index]
        return after.block, done.id, rest, False

    async def heads(self, log: bytes) -> Sequence[AnchoredHead]:
        """See `Anchor.heads`."""
        told = await self._view("heads", log=log.hex())
        try:
            return [await self._head(log, one) for one in told[:_MOST_HEADS]]
        except (KeyError, TypeError, ValueError) as error:
            raise self._strange() from error

    async def owed(self, payer: bytes, payee: bytes, currency: bytes) -> int:
        """See `Anchor.owed`."""
        told = await self._view(
            "owed", payer=payer.hex(), payee=payee.hex(), currency=currency.hex()
        )
        if not isinstance(told, str) or not told.isdecimal() or len(told) > 40:
            raise self._strange()
        return int(told)

    async def members(self) -> Sequence[Admit]:
        """See `Anchor.members`."""
        told = await self._view("members")
        try:
            return [
                Admit(
                    bytes.fromhex(key),
                    bytes.fromhex(one["account"]),
                    tuple(bytes.fromhex(half) for half in one["signature"]),
                )
                for key, one in told.items()
            ]
        except (LookupError, TypeError, ValueError, AttributeError, SecureFlowError) as error:
            raise self._strange() from error

    async def checked(self, receipt: JSON, entry: Entry) -> bool:
        """See `Anchor.checked`."""
        if not isinstance(receipt, dict) or receipt.get("place") != self.place:
            return False
        name = receipt.get("transaction")
        if not isinstance(name, str) or len(name) != 64:
            return False
        done = await self._done(name)
        if done is None or done.code != "VALID":
            return False
        said = {"block": done.block, "hash": done.hash, "index": done.index}
        held = {
            digest
            for digest, result in zip(done.digests, done.results, strict=True)
            if result != "refused"
        }
        return all(receipt.get(name) == said[name] for name in said) and entry.digest.hex() in held

    async def probe(self) -> Probe:
        """See `Anchor.probe`."""
        facts: list[tuple[str, str]] = [("place", self.place), ("account", self.account.hex())]
        try:
            info = await self._ask("info")
            facts.append(("blocks", str(info["height"])))
            told = await self._view("place")
            if not isinstance(told, dict) or not {"window", "place", "successor"} <= told.keys():
                raise self._strange()
            facts.append(("window", shown(str(told["window"])[:_SHOWN])))
            members = await self.members()
        except SecureFlowError as error:
            return Probe(tuple(facts), error.message, error.hint)
        facts.append(("members", str(len(members))))
        if told["place"] != self.place:
            return Probe(tuple(facts), Text("The chaincode was begun under another name."))
        if self.account not in {one.account for one in members}:
            problem = Text("The account {account} is no member of it.", account=self.account.hex())
            return Probe(tuple(facts), problem, Text("Members admit it: docs/fabric.md."))
        if told["successor"]:
            return Probe(tuple(facts), Text("It is closed, and continued elsewhere."))
        return Probe(tuple(facts))

    async def close(self) -> None:
        """See `Anchor.close`."""
        await self.gateway.close()

    async def _ask(self, do: str, **more: JSON) -> Mapping[str, Any]:
        try:
            return await self.gateway.ask(do, self._where.patience, **more)
        except GatewayFailure as failure:
            raise error_of(failure, self.place) from failure

    def _opening(self) -> dict[str, JSON]:
        try:
            return _opening(self._where, self._keys())
        except OSError as error:
            raise refused(self.place, Text("the private key cannot be read")) from error

    async def _own(self) -> None:
        """See once that the chaincode is this very place: bindings are signed over its name."""
        if not self._known:
            told = await self._view("place")
            if not isinstance(told, dict) or told.get("place") != self.place:
                raise refused(self.place, _OTHER)
            self._known = True

    async def _view(self, name: str, **parameters: JSON) -> Any:
        args = [name, canonical_bytes(parameters).decode()]
        told = await self._ask("evaluate", args=args)
        try:
            return parse_json(str(told["payload"]).encode(), _ANSWER_BYTES)
        except SecureFlowError as error:
            raise self._strange() from error

    async def _done(self, transaction: str) -> Done | None:
        told = (await self._ask("transaction", transaction=transaction))["transaction"]
        return None if told is None else self._read(told)

    async def _head(self, log: bytes, told: Mapping[str, Any]) -> AnchoredHead:
        """Return a head of a view; where it stands is looked up, as the view has no blocks."""
        name = str(told["tx"])
        if name not in self._positions:
            done = await self._done(name)
            if done is None:
                raise ValueError(name)
            if len(self._positions) >= _MOST_POSITIONS:
                self._positions.clear()
            self._positions[name] = done.position()
        root = bytes.fromhex(told["root"])
        return AnchoredHead(
            log, int(told["size"]), root, str(told["sender"]), self._positions[name]
        )

    def _at(self, transactions: Sequence[Any], index: int) -> Done:
        for one in map(self._read, transactions):
            if one.index == index:
                return one
        raise self._strange()  # the block is the cursor's, and the transaction was there

    def _read(self, told: Any) -> Done:
        try:
            return done_of(told)
        except Strange as error:
            raise self._strange() from error

    def _strange(self) -> SecureFlowError:
        return refused(self.place, "what it answers is not of our chaincode")


def _opening(where: FabricPlace, keys: FabricKeys) -> dict[str, JSON]:
    client = [where.client.decode(), keys.client.decode()] if where.client else None
    return {
        "target": where.target,
        "ca": where.ca.decode(),
        "host": where.host,
        "msp": where.msp,
        "certificate": where.certificate.decode(),
        "key": keys.identity.decode(),
        "client": client,
        "channel": where.channel,
        "chaincode": where.chaincode,
        "patience": where.patience,
    }
