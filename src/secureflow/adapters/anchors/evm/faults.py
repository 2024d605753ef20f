"""How a node fails, in our own words: nothing that it says is shown as it came."""

from __future__ import annotations

from typing import Final

from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

MOST_SHOWN: Final = 200
"""Characters of a node's own words."""


class NodeFault(Exception):  # noqa: N818  it is an answer, not a failure of ours
    """The node answers a question with an error.

    Args:
        number: JSON-RPC's code.
        said: its words, of bounded length.
        data: what a call reverted with.
    """

    def __init__(self, number: int, said: str, data: bytes = b"") -> None:
        super().__init__(number)
        self.number = number
        self.said = said
        self.data = data

    def says(self, *words: str) -> bool:
        """Tell whether it says one of these: nodes have no common codes."""
        return any(one in self.said.lower() for one in words)


class TooMuchError(InfrastructureError):
    """An answer is longer than it may be: less has to be asked for."""


def too_much(reason: str) -> TooMuchError:
    """Return it, as `unavailable` says it."""
    plain = unavailable(reason)
    return TooMuchError(plain.code, plain.message, plain.hint)


def unavailable(reason: str) -> InfrastructureError:
    """Return the error for a node that cannot be used now."""
    return InfrastructureError(
        "anchor_unavailable",
        Text("The node of the chain gives no usable answer: {reason}.", reason=reason),
        "It is tried again; check that the node runs, and its address in the settings.",
    )


def refused(reason: str) -> SecureFlowError:
    """Return the error for a place that does not take what is sent, or is none of ours."""
    return SecureFlowError(
        "anchor_refused",
        Text("The place on the chain cannot be used: {reason}.", reason=reason),
        "Compare chain id, contract and account with the other members.",
    )


def shared_key() -> SecureFlowError:
    """Return the error for an account that somebody else sends with at the same time."""
    return SecureFlowError(
        "anchor_key_shared",
        "Another process sends to the chain with the same account key.",
        "One agent sends with one key: stop the other one, or let it make a key of its own.",
    )


def told(fault: NodeFault) -> SecureFlowError:
    """Return what a node's error means where no other meaning is known."""
    words = shown(fault.said[:MOST_SHOWN])
    return unavailable(Text("error {number}, {words}", number=fault.number, words=words))
