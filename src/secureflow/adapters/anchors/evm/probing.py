"""What the doctor shows of a chain: facts in words, and what is wrong."""

from __future__ import annotations

from typing import Final

from secureflow.adapters.anchors.evm.account import EvmAccount
from secureflow.adapters.anchors.evm.answers import block, number
from secureflow.adapters.anchors.evm.faults import NodeFault
from secureflow.adapters.anchors.evm.node import LATEST, Node
from secureflow.application.ports.anchor import Probe
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

_MOST: Final = 100
NO_FEE: Final = "none"


async def probed(node: Node, account: EvmAccount | None) -> Probe:
    """Ask a node everything that must be right; what is wrong is in the answer."""
    facts: list[tuple[str, str]] = []
    try:
        version, newest = await node.rpc.all(
            [("web3_clientVersion", ()), node.head_question(LATEST)]
        )
        if isinstance(version, str):
            facts.append(("node", shown(version[:_MOST])))
        head = node.present(None if isinstance(newest, NodeFault) else block(newest))
        facts.append(("block", str(head.number)))
        facts.append(("base fee", NO_FEE if head.base is None else str(head.base)))
        await node.opened()
        facts += [("chain", str(node.settings.chain)), ("contract", node.settings.contract)]
        facts.append(("dispute window", str((await node.view("window"))[0])))
        problem, hint = await _state(node, account, facts)
    except SecureFlowError as error:
        return Probe(tuple(facts), error.message, error.hint)
    return Probe(tuple(facts), problem, hint)


async def _state(
    node: Node, account: EvmAccount | None, facts: list[tuple[str, str]]
) -> tuple[str, str]:
    (successor,) = await node.view("successor")
    if any(successor):
        facts.append(("successor", successor.hex()))
        return "The place is closed.", "Name its successor in the settings."
    if account is None:
        return "", ""
    facts.append(("account", account.address))
    waiting, done = await node.rpc.known(
        [
            ("eth_getTransactionCount", (account.address, "pending")),
            ("eth_getTransactionCount", (account.address, LATEST)),
        ]
    )
    facts.append(("transactions that wait", str(max(0, number(waiting) - number(done)))))
    (member,) = await node.view("memberOf", account.address)
    if not any(member):
        return (
            Text("The account {account} is no member's.", account=account.address),
            "The members vote to admit it (docs/anchors.md).",
        )
    facts.append(("member", member.hex()))
    return "", ""
