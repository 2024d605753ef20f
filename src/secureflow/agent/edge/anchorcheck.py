"""The doctor's check of the places at which this agent anchors."""

from __future__ import annotations

from secureflow.agent.edge.anchorcommands import LATE
from secureflow.agent.edge.control import call
from secureflow.agent.edge.diagnosis import Diagnosis
from secureflow.agent.edge.keptsessions import shown_session
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, text_in

PATIENCE = 30.0
"""Seconds in which the running agent asks its places."""


def check_anchors(so_far: Diagnosis) -> str:
    """Ask the running agent about its places: nodes, members, and what is late.

    Raises:
        SecureFlowError: `anchor_late` for entries that wait for long, `anchor_unavailable` for what
            is wrong with a place.
    """
    known = so_far.known.anchors
    if not known:
        return "none is named: the log's heads are kept by its operator and its witnesses alone"
    socket = so_far.known.socket
    found = call(socket, "anchor.doctor", {}, PATIENCE, shown_session(socket))
    for one in found:
        if one["problem"]:
            raise SecureFlowError(
                "anchor_unavailable",
                Text("{name}: {problem}", name=one["name"], problem=text_in(one, "problem")),
                text_in(one, "hint"),
            )
        if one["late"] > LATE:
            raise SecureFlowError(
                "anchor_late",
                Text(
                    "{name}: {count} {count:entry waits|entries wait}, the oldest for {seconds} "
                    "seconds.",
                    name=one["name"],
                    count=one["waiting"],
                    seconds=one["late"],
                ),
                "Nothing is lost: they are sent once the place takes them. secureflow agent anchor "
                "list shows them.",
            )
    names = ", ".join(one.name for one in known)
    waiting = sum(one["waiting"] for one in found)
    return Text(
        "{names} keep what was anchored, {waiting} on the way", names=names, waiting=waiting
    )
