"""What a contract keeps, as a node shows it: events in bounded ranges of blocks, heads, members.

Filters at the node are never used. The cursor is the last event that was read, with its block's
hash; if the chain has another block there, everything is read again from the contract's first one:
a reader knows by entry and transaction what it read before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from secureflow.adapters.anchors.evm.account import word_of
from secureflow.adapters.anchors.evm.answers import Log, block, logs, receipt, transactions
from secureflow.adapters.anchors.evm.coding import kept_of, topic
from secureflow.adapters.anchors.evm.faults import NodeFault, TooMuchError, unavailable
from secureflow.adapters.anchors.evm.node import Node
from secureflow.adapters.anchors.evm.rpc import MOST_EVENTS
from secureflow.application.ports.anchor import AnchoredHead, Happened, Page, Position, Result
from secureflow.engines.anchors.entries import Admit
from secureflow.kit.errors import InfrastructureError

END: Final = 2**31 - 1
"""The index of a cursor that stands after everything in its block."""
RANGES: Final = 50
"""Ranges of blocks that one page looks through."""
NEWEST: Final = 100
"""Heads that are no forks."""
MOST_HEADS: Final = 1_000
AT_ONCE: Final = 200
"""Members of one question."""
MOST_MEMBERS: Final = 1_000
"""As many as the contract takes; of those ever admitted it names at most 65,000."""
MOST_PAGES: Final = 65_000 // AT_ONCE + 1


class Reading:
    """Reads what a contract keeps.

    Args:
        node: of the chain.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def happened(self, after: Position | None, limit: int) -> Page:
        """Return the next events after a cursor, only final ones."""
        founded = await self._node.opened()
        newest = (await self._node.latest()).number
        last = newest - self._node.settings.confirmations
        if after is not None and newest < after.block:
            # One that lags, or was set back by hand: a reorganised chain is no shorter.
            raise unavailable("it is behind what was read before")
        reorganised = after is not None and not await self._stands(after)
        if reorganised:
            after = None
        begin = founded if after is None else after.block + (after.index == END)
        found: list[Happened] = []
        for _ in range(RANGES):
            if begin > last or found:
                break
            found, cursor = await self._range(after, begin, last, limit)
            after, begin = cursor, cursor.block + 1
        return Page(tuple(found), after, reorganised)

    async def heads(self, log: bytes) -> Sequence[AnchoredHead]:
        """Return the newest heads, and all forks with what they contradict."""
        await self._node.opened()
        last = (await self._node.latest()).number - self._node.settings.confirmations
        newest, _ = await self._node.view("heads", log, 0, NEWEST)
        most = (MOST_HEADS - NEWEST) // 2
        forks, firsts, _ = await self._node.view("forks", log, 0, most)
        if len(newest) > NEWEST or max(len(forks), len(firsts)) > most:
            raise unavailable("it names more heads than were asked for")
        every = [one for one in dict.fromkeys((*newest, *forks, *firsts)) if one[3] <= last]
        hashes = await self._hashes(sorted({number for *_, number in every}))
        return [
            AnchoredHead(log, size, root, member.hex(), Position(number, hashes[number]))
            for size, root, member, number in every
        ]

    async def members(self) -> Sequence[Admit]:
        """Return the members now, with what binds their accounts."""
        await self._node.opened()
        found: list[Admit] = []
        begin = 0
        for _ in range(MOST_PAGES):
            page, following = await self._node.view("members", begin, AT_ONCE)
            found += [Admit(key, word_of(who), signature) for key, who, signature in page]
            if len(found) > MOST_MEMBERS:
                break
            if following == 0:
                return found
            if following <= begin:
                raise unavailable("it counts members backwards")
            begin = following
        raise unavailable("it names more members than there can be")

    async def owed(self, payer: bytes, payee: bytes, currency: bytes) -> int:
        """Return what the payer owes the payee."""
        await self._node.opened()
        amount, _ = await self._node.view("owed", payer, payee, currency)
        return int(amount)

    async def _stands(self, after: Position) -> bool:
        found = await self._node.block(after.block)
        return found is not None and found.hash == after.hash

    async def _range(
        self, after: Position | None, begin: int, last: int, limit: int
    ) -> tuple[list[Happened], Position]:
        span = self._node.settings.span
        while True:
            end = min(last, begin + span - 1)
            try:
                found, end_hash = await self._events(begin, end)
            except (NodeFault, InfrastructureError) as fault:
                if span > 1:
                    span //= 2  # too many blocks or events for this node
                    continue
                if not isinstance(fault, NodeFault | TooMuchError):
                    raise
                found, end_hash = await self._one_by_one(begin, after, limit)
            wanted = [one for one in found if after is None or _place(one) > _at(after)]
            page = [_happened(one) for one in wanted[:limit]]
            if len(wanted) > limit:
                return page, page[-1].position
            return page, Position(end, end_hash, END)

    async def _events(self, begin: int, end: int) -> tuple[list[Log], str]:
        wanted = {
            "address": self._node.settings.contract,
            "topics": [f"0x{topic('Kept').hex()}"],
            "fromBlock": hex(begin),
            "toBlock": hex(end),
        }
        answers = await self._node.rpc.all(
            [("eth_getLogs", (wanted,)), self._node.head_question(end)], MOST_EVENTS
        )
        for one in answers:
            if isinstance(one, NodeFault):
                raise one
        last = self._node.present(block(answers[1]))
        found = sorted(logs(answers[0]), key=_place)
        places = [_place(one) for one in found]
        inside = all(
            begin <= one.block <= end and one.address == self._node.settings.contract
            for one in found
        )
        if last.number != end or not inside or len(set(places)) != len(places):
            raise unavailable("its events are not those that were asked for")
        if any(one.block == end and one.block_hash != last.hash for one in found):
            raise unavailable("the chain was reorganised meanwhile")
        return found, last.hash

    async def _one_by_one(
        self, number: int, after: Position | None, limit: int
    ) -> tuple[list[Log], str]:
        """Return a block's events by its transactions, up to one more than a page has.

        Where gas is free and blocks have no end, one member can fill a block with more events than
        anybody's node answers at once, and all others would read nothing behind it ever again.
        """
        (said,) = await self._node.rpc.known([self._node.head_question(number)])
        at = self._node.present(block(said))
        found: list[Log] = []
        last = (number, -1)
        for name in transactions(said):
            (answer,) = await self._node.rpc.known(
                [("eth_getTransactionReceipt", (f"0x{name}",))], MOST_EVENTS
            )
            one = receipt(answer)
            if one is None or (one.block, one.block_hash) != (number, at.hash):
                raise unavailable("the chain was reorganised meanwhile")
            for log in one.logs:
                if _place(log) <= last or (log.block, log.block_hash) != (number, at.hash):
                    raise unavailable("its events are not those that were asked for")
                last = _place(log)
                if self._is_kept(log) and (after is None or last > _at(after)):
                    found.append(log)
            if len(found) > limit:
                break
        return found, at.hash

    def _is_kept(self, log: Log) -> bool:
        return log.address == self._node.settings.contract and log.topics[:1] == (topic("Kept"),)

    async def _hashes(self, numbers: Sequence[int]) -> dict[int, str]:
        answers = await self._node.rpc.known([self._node.head_question(one) for one in numbers])
        found = [self._node.present(block(one)) for one in answers]
        if [one.number for one in found] != list(numbers):
            raise unavailable("its blocks are not those that were asked for")
        return {one.number: one.hash for one in found}


def _happened(log: Log) -> Happened:
    kept = kept_of(log)
    position = Position(log.block, log.block_hash, log.index)
    result: Result = "fork" if kept.fork else "kept"
    return Happened(kept.entry, kept.member.hex(), result, position, log.transaction, kept.time)


def _place(log: Log) -> tuple[int, int]:
    return log.block, log.index


def _at(cursor: Position) -> tuple[int, int]:
    return cursor.block, cursor.index
