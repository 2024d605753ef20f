"""Asks the reader's own node about receipts of a chain.

A node of another chain cannot answer, and is no reason to accuse anybody. A Fabric channel and the
keeper of a file answer only their members: there it takes the agent of one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from secureflow.engines.anchors.statements import Statement
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.adapters.anchors.evm.driver import EvmAnchor


@dataclass(frozen=True)
class NodeAnswer:
    """What a node says of a statement.

    Args:
        holds: None where it was not asked, or is of another chain.
        reason: why it could not be asked.
    """

    holds: bool | None = None
    reason: str = ""


async def asked_of_node(said: Sequence[Statement], url: str) -> list[NodeAnswer]:
    """Return an answer for each statement.

    Args:
        said: statements, of whatever place.
        url: of the node.

    Raises:
        SecureFlowError: `missing_extra`, `anchor_unavailable`.
    """
    opened: dict[str, EvmAnchor] = {}
    async with AsyncExitStack() as stack:
        found = []
        for one in said:
            if one.make != "evm":
                found.append(NodeAnswer())
                continue
            if one.place not in opened:
                opened[one.place] = _opened(one.place, url)
                stack.push_async_callback(opened[one.place].close)
            found.append(await _asked(opened[one.place], one))
        return found


async def _asked(anchor: EvmAnchor, one: Statement) -> NodeAnswer:
    if not _names(one):
        return NodeAnswer(holds=False)
    try:
        return NodeAnswer(await anchor.checked(one.receipt, one.entry))
    except SecureFlowError as error:
        if error.code != "anchor_refused":
            raise
        return NodeAnswer(reason=error.message)


def _names(one: Statement) -> bool:
    """Tell whether the receipt is of the transaction that the statement names."""
    receipt = one.receipt
    if not isinstance(receipt, dict):
        return False
    return (receipt.get("transaction"), receipt.get("block")) == (one.transaction, one.block)


def _opened(place: str, url: str) -> EvmAnchor:
    from secureflow.adapters.anchors.evm.opening import open_evm
    from secureflow.adapters.anchors.evm.settings import EvmSettings

    # Its member waited until it was final: one that has fewer blocks on top today is no lie.
    _, chain, contract = place.split(":")
    return open_evm(EvmSettings(url, int(chain), contract, confirmations=0))
