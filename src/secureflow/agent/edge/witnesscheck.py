"""The doctor's check of the agent's own address, of gossip, and of witnesses of others."""

from __future__ import annotations

from typing import Any

from secureflow.agent.edge.control import call
from secureflow.agent.edge.diagnosis import PATIENCE, Diagnosis
from secureflow.agent.edge.keptsessions import shown_session
from secureflow.agent.witnesssettings import WitnessSettings
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def check_witness(so_far: Diagnosis) -> str:
    """Ask the running agent about them.

    Raises:
        SecureFlowError: `head_unproved`, `gossip_refused`, `witness_refused`, `anchor_unavailable`.
    """
    if so_far.known.witness == WitnessSettings():
        return "not set: no address for others, no gossip, no witness but the members' agents"
    socket = so_far.known.socket
    found = call(socket, "witness.show", {}, PATIENCE, shown_session(socket))
    if found["waiting"]:
        raise SecureFlowError(
            "head_unproved",
            Text(
                "The centre has not proved a head of size {size} that its log signed.",
                size=max(found["waiting"]),
            ),
            "Ask the operator. If it denies the head, the log was rolled back or shows two "
            "histories.",
        )
    keeper = found["keeper"]
    if keeper and keeper["problem"]:
        raise SecureFlowError(
            "anchor_unavailable",
            Text("This agent keeps no anchors: {reason}", reason=keeper["problem"]),
            keeper["hint"],
        )
    _check_partners(found)
    return Text(
        "{gossip} {gossip:partner|partners} in gossip, {witnesses} {witnesses:witness|witnesses} "
        "of others; address for others: {listen}",
        gossip=len(found["gossip"]),
        witnesses=len(found["witnesses"]),
        listen=found["listen"] or "–",
    )


def _check_partners(found: dict[str, Any]) -> None:
    for one in found["gossip"]:
        if one["trouble"]:
            raise SecureFlowError(
                "gossip_refused",
                Text("Gossip with {party} fails: {code}.", party=one["party"], code=one["trouble"]),
                "Check its address in `witness.gossip`, and its key in the pinned charter.",
            )
    for one in found["witnesses"]:
        if one["trouble"]:
            raise SecureFlowError(
                "witness_refused",
                Text(
                    "The witness {name} cosigns nothing: {reason}.",
                    name=one["name"],
                    reason=one["trouble"],
                ),
                "Check its address and key in `witness.witnesses`, and that it knows this log's "
                "key.",
            )
