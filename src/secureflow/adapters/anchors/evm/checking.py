"""Whether a chain holds what somebody's receipt says, for one who audits with a node."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from secureflow.adapters.anchors.evm.answers import Log, data, number, receipt
from secureflow.adapters.anchors.evm.coding import entries_of, judged_of
from secureflow.adapters.anchors.evm.faults import unavailable
from secureflow.adapters.anchors.evm.node import Node
from secureflow.engines.anchors.entries import Entry
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import InfrastructureError, SecureFlowError

_HASH: Final = re.compile(r"[0-9a-f]{64}")


async def holds(node: Node, said: JSON, entry: Entry) -> bool:
    """Return whether the receipt's transaction is final and carries the entry, not refused.

    Args:
        node: of the chain.
        said: the receipt, from anybody.
        entry: that it is to prove.

    Raises:
        SecureFlowError: `anchor_refused`: the node is on another chain.
        InfrastructureError: `anchor_unavailable`.
    """
    await node.opened()
    if not _is_receipt(node, said):
        return False
    found, transaction, newest = await node.rpc.known(
        [
            ("eth_getTransactionReceipt", (f"0x{said['transaction']}",)),
            ("eth_getTransactionByHash", (f"0x{said['transaction']}",)),
            ("eth_blockNumber", ()),
        ]
    )
    kept = receipt(found)
    if (
        kept is None
        or not kept.ok
        or (kept.block, kept.block_hash) != (said["block"], said["hash"])
    ):
        return False
    if kept.transaction != said["transaction"] or kept.to != node.settings.contract:
        return False
    at = await node.block(kept.block)
    if at is None or at.hash != kept.block_hash or not isinstance(transaction, dict):
        return False
    deep = number(newest) - kept.block >= node.settings.confirmations
    return deep and _carries(data(transaction.get("input")), kept.logs, kept.to, entry)


def _carries(call: bytes, logs: Sequence[Log], contract: str, entry: Entry) -> bool:
    try:
        entries = entries_of(call)
        results, _ = judged_of(logs, contract)
    except InfrastructureError:
        raise
    except SecureFlowError:
        return False
    if len(entries) != len(results):
        raise unavailable("a receipt does not say what became of the entries")
    return any(
        one == entry and result != "refused" for one, result in zip(entries, results, strict=True)
    )


def _is_receipt(node: Node, said: JSON) -> bool:
    return (
        isinstance(said, dict)
        and said.get("chain") == node.settings.chain
        and said.get("contract") == node.settings.contract
        and type(said.get("block")) is int
        and all(
            isinstance(said.get(name), str) and _HASH.fullmatch(said[name])
            for name in ("transaction", "hash")
        )
    )
