"""The port `Anchor` on an EVM chain: one account sends to one contract through one node.

An account numbers its transactions (nonce). The number is in the ticket before anything leaves, and
a ticket is only ever sent with the very bytes in it. One process numbers for one key (`account`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

from secureflow.adapters.anchors.evm.account import EvmAccount
from secureflow.adapters.anchors.evm.answers import Block, block, number, word
from secureflow.adapters.anchors.evm.checking import holds
from secureflow.adapters.anchors.evm.coding import batch_of
from secureflow.adapters.anchors.evm.faults import NodeFault, refused, shared_key, told, unavailable
from secureflow.adapters.anchors.evm.gas import dynamic_fees, gas_for
from secureflow.adapters.anchors.evm.node import LATEST, Node
from secureflow.adapters.anchors.evm.outcomes import Outcomes
from secureflow.adapters.anchors.evm.probing import probed
from secureflow.adapters.anchors.evm.reading import Reading
from secureflow.adapters.anchors.evm.rpc import Rpc
from secureflow.adapters.anchors.evm.settings import EvmSettings
from secureflow.adapters.anchors.evm.tickets import Sent, read_ticket
from secureflow.application.ports.anchor import (
    AnchoredHead,
    Make,
    Outcome,
    Page,
    Position,
    Probe,
    Ticket,
)
from secureflow.engines.anchors.entries import Admit, Entry, Split
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

_KNOWN: Final = ("already known", "known transaction", "already imported", "alreadyknown")
"""The node has this very transaction: geth, GoQuorum and Besu, anvil, Nethermind."""
_USED: Final = ("nonce too low", "nonce is too low", "old nonce", "below current nonce")
"""The number was used: `outcome` tells by which transaction."""
_TAKEN: Final = ("replacement",)
"""Another transaction with this number waits."""
_POOR: Final = ("insufficient funds", "upfront cost")
_UNPAID: Final = ("underpriced", "gas price", "fee cap", "max fee", "base fee")
BEGIN: Final = 64
"""Entries of the first transaction: as many of the dearest kind fit."""
MOST_BYTES: Final = 60_000
"""Of a call with several entries: GoQuorum takes transactions of 64 KiB unless told otherwise."""
_DOUBLINGS: Final = 8
"""Of the gas, after batches that ran out of it."""


class EvmAnchor:
    """A contract as one account sees it.

    Args:
        settings: which one.
        account: that sends; None for one who only reads.
        rpc: to the node.
    """

    make: Make = "evm"

    def __init__(self, settings: EvmSettings, account: EvmAccount | None, rpc: Rpc) -> None:
        self._settings = settings
        self._account = account
        self._rpc = rpc
        self._node = Node(rpc, settings)
        self._reading = Reading(self._node)
        self._outcomes = None if account is None else Outcomes(self._node, account)
        self._limit = min(BEGIN, settings.limit)
        self._owning: contextlib.ExitStack | None = None

    @property
    def place(self) -> str:
        """`evm:<chain id>:<address>`."""
        return self._settings.place

    @property
    def account(self) -> bytes:
        """The sender's address, left-padded; zeros for one who only reads."""
        return bytes(32) if self._account is None else self._account.word

    @property
    def limit(self) -> int:
        """Entries of one transaction: fewer where so many are too much, more where twice fit."""
        return self._limit

    async def prepare(self, entries: Sequence[Entry], unfinished: Sequence[Ticket]) -> Ticket:
        """Sign a transaction with the next number that is neither used nor in a ticket.

        Raises:
            SecureFlowError: `anchor_refused`, `anchor_key_shared`.
            InfrastructureError: `anchor_unavailable`.
        """
        account, outcomes = self._sender()
        if not 0 < len(entries) <= self._settings.limit:
            raise refused(Text("a ticket carries 1 to {most} entries", most=self._settings.limit))
        if words := outcomes.too_cheap:
            outcomes.too_cheap = ""  # said once, and tried again
            raise _too_cheap(words)
        self._own(account)
        await self._node.opened()
        asked, *about = self._node.view_question("memberOf", account.address)
        said, newest, member = await self._rpc.known(
            [
                ("eth_getTransactionCount", (account.address, LATEST)),
                self._node.head_question(LATEST),
                (asked, about),
            ]
        )
        if not self._is_member(member):
            raise refused("the account is no member's")  # the entries wait until it is admitted
        nonce = max([number(said), *(read_ticket(one).nonce + 1 for one in unfinished)])
        call = batch_of(entries)
        gas = gas_for(entries, len(call), await self._owed_by(entries))
        gas <<= min(outcomes.short_of_gas, _DOUBLINGS)
        at = self._node.present(block(newest))
        self._check_size(len(call), len(entries))
        self._check_gas(gas, min(self._settings.most_gas, at.gas), len(entries))
        self._grow(gas, min(self._settings.most_gas, at.gas), len(entries))
        fees, fee = self._fees(at)
        signed = account.signed(
            {
                **fees,
                "chainId": self._settings.chain,
                "nonce": nonce,
                "gas": gas,
                "to": bytes.fromhex(self._settings.contract[2:]),
                "value": 0,
                "data": call,
            }
        )
        return Sent(signed.id, signed.raw.hex(), nonce, gas, fee, len(entries)).ticket()

    async def send(self, ticket: Ticket) -> None:
        """Send a ticket's bytes, whether or not the node has them already.

        Raises:
            SecureFlowError: `anchor_refused`, `anchor_key_shared`.
            InfrastructureError: `anchor_unavailable`.
        """
        _, outcomes = self._sender()
        sent = read_ticket(ticket)
        await self._node.opened()
        try:
            answer = await self._rpc.ask("eth_sendRawTransaction", f"0x{sent.raw}")
        except NodeFault as fault:
            if fault.says(*_KNOWN, *_USED):
                return
            if fault.says(*_TAKEN):
                raise shared_key() from fault
            if fault.says(*_UNPAID):
                outcomes.unpaid[sent.id] = shown(fault.said)  # its entries need another ticket
                return
            raise _unsent(fault) from fault
        if word(answer) != sent.id:
            raise unavailable("it names a transaction otherwise than it is")

    async def outcome(self, ticket: Ticket) -> Outcome:
        """Return what became of it by now."""
        _, outcomes = self._sender()
        return await outcomes.of(read_ticket(ticket))

    async def happened(self, after: Position | None, limit: int = 500) -> Page:
        """Return what was kept after a cursor."""
        return await self._reading.happened(after, limit)

    async def heads(self, log: bytes) -> Sequence[AnchoredHead]:
        """Return the newest heads of a log, and all its forks."""
        return await self._reading.heads(log)

    async def members(self) -> Sequence[Admit]:
        """Return the members by now."""
        return await self._reading.members()

    async def owed(self, payer: bytes, payee: bytes, currency: bytes) -> int:
        """Return what the payer owes the payee."""
        return await self._reading.owed(payer, payee, currency)

    async def checked(self, receipt: JSON, entry: Entry) -> bool:
        """Return whether the chain holds what a receipt says."""
        return await holds(self._node, receipt, entry)

    async def probe(self) -> Probe:
        """Return what the doctor shows."""
        return await probed(self._node, self._account)

    async def close(self) -> None:
        """Close connections."""
        await self._rpc.close()
        owning, self._owning = self._owning, None
        if owning is not None:
            owning.close()

    def _own(self, account: EvmAccount) -> None:
        """From the first number on until it is closed, nobody else numbers for the key."""
        if self._owning is None:
            with contextlib.ExitStack() as owning:
                owning.enter_context(account.owned())
                self._owning = owning.pop_all()

    def _sender(self) -> tuple[EvmAccount, Outcomes]:
        if self._account is None or self._outcomes is None:
            raise refused("it is opened for reading only, without an account")
        return self._account, self._outcomes

    def _check_size(self, size: int, count: int) -> None:
        if size > MOST_BYTES and count > 1:
            self._limit = count // 2
            raise unavailable(
                Text("{count} entries are a call of {size} bytes", count=count, size=size)
            )

    def _is_member(self, answer: Any) -> bool:
        return any(self._node.viewed("memberOf", answer)[0])

    def _check_gas(self, gas: int, most: int, count: int) -> None:
        if gas <= most:
            return
        reason = Text(
            "{count} entries take up to {gas} gas, and a transaction may have {most}",
            count=count,
            gas=gas,
            most=most,
        )
        if count == 1:
            raise refused(reason)
        self._limit = count // 2
        raise unavailable(reason)

    def _grow(self, gas: int, most: int, count: int) -> None:
        """Let a further transaction carry twice as many as this one, if that fits."""
        if count >= self._limit and 2 * gas <= most:
            self._limit = min(2 * self._limit, self._settings.limit)

    async def _owed_by(self, entries: Sequence[Entry]) -> int:
        """Return how many members the splits may share among."""
        named = 0
        for one in entries:
            if isinstance(one, Split):
                named += len((await self._node.view("standing", one.job))[3])
        return named

    def _fees(self, newest: Block) -> tuple[dict[str, Any], int]:
        """Return the fields for fees, and the most that a unit of gas may cost."""
        base = newest.base or 0
        if self._settings.fees == "legacy" or (self._settings.fees == "auto" and base == 0):
            return {"gasPrice": self._settings.price}, self._settings.price
        fees = dynamic_fees(base, self._settings.tip, self._settings.most_fee)
        return fees, fees["maxFeePerGas"]


def _unsent(fault: NodeFault) -> SecureFlowError:
    if fault.says(*_POOR):
        return refused("the account cannot pay for its transactions")
    return told(fault)


def _too_cheap(words: str) -> SecureFlowError:
    return refused(Text("the chain takes no transaction at this price ({words})", words=words))
