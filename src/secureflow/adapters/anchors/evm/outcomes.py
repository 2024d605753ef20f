"""What became of a transaction: in a block that is still the chain's, deep enough, or never.

- A receipt counts only while its block is the one that the chain has at that height: after a
  reorganisation the transaction waits again, and the same bytes are sent again.
- It is lost when its number was used by another transaction that is final, and that for a while
  (anvil counts a transaction before it shows the receipt), or when its fee is below what blocks
  take: then its entries go into a new one. If the old one arrives all the same, both have one
  number, so that only one of them is ever included; and an entry is kept once anyway.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from secureflow.adapters.anchors.evm.account import EvmAccount
from secureflow.adapters.anchors.evm.answers import Block, Receipt, block, number, receipt
from secureflow.adapters.anchors.evm.coding import function, judged_of, refusal_of
from secureflow.adapters.anchors.evm.faults import NodeFault, refused, told, unavailable
from secureflow.adapters.anchors.evm.node import LATEST, Node
from secureflow.adapters.anchors.evm.rpc import one_of
from secureflow.adapters.anchors.evm.tickets import Sent
from secureflow.application.ports.anchor import Outcome, Position, Result
from secureflow.kit.canonical import JSON

STRANGER: Final = "stranger"
_STATES: Final = 100
"""Blocks of which every node still has the state: geth keeps 128."""
SURE: Final = 5.0
"""Seconds for which a number must count as used while there is no receipt."""
WAITING: Final = Outcome("waiting")
LOST: Final = Outcome("lost")


class Outcomes:
    """Tells what became of an account's transactions.

    Args:
        node: of the chain.
        account: that sent them.
    """

    def __init__(self, node: Node, account: EvmAccount) -> None:
        self._node = node
        self._account = account
        self.short_of_gas = 0
        """Batches that ran out of gas."""
        self.unpaid: dict[str, str] = {}
        """Transactions that the node did not take at their price, with its words."""
        self.too_cheap = ""
        """Why the last of them was lost."""
        self._used: dict[str, float] = {}
        """Transactions without a receipt whose number is used, and since when."""

    async def of(self, sent: Sent) -> Outcome:
        """Return what became of a transaction by now."""
        await self._node.opened()
        found, newest = await self._asked(sent)
        if found is None:
            if not await self._passed_over(sent, newest):
                return WAITING
            found, newest = await self._asked(sent)  # it may have been included meanwhile
            return LOST if found is None else await self._included(sent, found, newest)
        self._used.pop(sent.id, None)
        return await self._included(sent, found, newest)

    async def _asked(self, sent: Sent) -> tuple[Receipt | None, Block]:
        said, newest = await self._node.rpc.known(
            [
                ("eth_getTransactionReceipt", (f"0x{sent.id}",)),
                self._node.head_question(LATEST),
            ]
        )
        found = receipt(said)
        if found is not None and found.transaction != sent.id:
            raise unavailable("a receipt is of another transaction")
        return found, self._node.present(block(newest))

    async def _included(self, sent: Sent, found: Receipt, newest: Block) -> Outcome:
        at = await self._node.block(found.block)
        if at is None or at.hash != found.block_hash or found.block > newest.number:
            return WAITING  # its block is none of the chain's any more, or not yet
        if found.to != self._node.settings.contract:
            raise refused("a stored ticket is none for this chain")
        depth = newest.number - found.block + 1
        final = depth > self._node.settings.confirmations
        if not found.ok:
            return await self._reverted(sent, found, depth, final=final)
        results, reasons = judged_of(found.logs, found.to)
        if len(results) != sent.count:
            raise unavailable("a receipt does not say what became of the entries")
        return Outcome(
            "final" if final else "waiting",
            _position(found),
            results,
            reasons,
            self._proof(found) if final else None,
            depth,
        )

    async def _reverted(self, sent: Sent, found: Receipt, depth: int, *, final: bool) -> Outcome:
        """Nothing of it happened: the sender is no member, or the gas was too little."""
        if not final:
            return Outcome("waiting", _position(found), depth=depth)
        if await self._is_stranger():
            result: Result = "refused"
            return Outcome(
                "final",
                _position(found),
                (result,) * sent.count,
                (STRANGER,) * sent.count,
                self._proof(found),
                depth,
            )
        self.short_of_gas += 1
        return LOST

    async def _is_stranger(self) -> bool:
        call = {
            "from": self._account.address,
            "to": self._node.settings.contract,
            "data": f"0x{function('batch').call([]).hex()}",
        }
        try:
            await self._node.rpc.ask("eth_call", call, LATEST)
        except NodeFault as fault:
            if not (reason := refusal_of(fault)):
                raise told(fault) from fault
            return reason == STRANGER
        return False

    async def _passed_over(self, sent: Sent, newest: Block) -> bool:
        if sent.id in self.unpaid:
            self.too_cheap = self.unpaid.pop(sent.id)
            return True
        if sent.fee and newest.base is not None and newest.base > sent.fee:
            return True
        back = min(self._node.settings.confirmations, _STATES)
        settled = max(0, newest.number - back)
        answer = await self._node.rpc.all(
            [("eth_getTransactionCount", (self._account.address, hex(settled)))]
        )
        try:
            used = number(one_of(answer[0])) > sent.nonce
        except NodeFault:
            return False  # the node has no state of that block
        now = asyncio.get_running_loop().time()
        since = self._used.setdefault(sent.id, now)
        if used and now - since >= SURE:
            return True
        if not used:
            del self._used[sent.id]
        return False

    def _proof(self, found: Receipt) -> JSON:
        return {
            "chain": self._node.settings.chain,
            "contract": self._node.settings.contract,
            "transaction": found.transaction,
            "block": found.block,
            "hash": found.block_hash,
            "sender": self._account.address,
        }


def _position(found: Receipt) -> Position:
    first: Any = min((one.index for one in found.logs), default=0)
    return Position(found.block, found.block_hash, first)
