"""Tickets of the chain: a signed transaction with what is needed to send and to find it again."""

from __future__ import annotations

from dataclasses import dataclass

from secureflow.adapters.anchors.evm.faults import refused
from secureflow.application.ports.anchor import Ticket
from secureflow.kit.errors import SecureFlowError


@dataclass(frozen=True)
class Sent:
    """A ticket's content.

    Args:
        id: hash of the transaction in lowercase hex.
        raw: the signed bytes in lowercase hex.
        nonce: its number among the account's transactions.
        gas: that it may use.
        fee: most wei for a unit of gas; 0 on a chain without fees.
        count: entries in it.
    """

    id: str
    raw: str
    nonce: int
    gas: int
    fee: int
    count: int

    def ticket(self) -> Ticket:
        """Return it as a ticket."""
        body = {
            "raw": self.raw,
            "nonce": self.nonce,
            "gas": self.gas,
            "fee": str(self.fee),
            "count": self.count,
        }
        return Ticket(self.id, body)


def read_ticket(ticket: Ticket) -> Sent:
    """Return what a ticket holds; it is the caller's own, so that only its shape is checked.

    Raises:
        SecureFlowError: `anchor_refused`.
    """
    body = ticket.body
    try:
        return Sent(
            ticket.id,
            str(body["raw"]),
            int(body["nonce"]),
            int(body["gas"]),
            int(body["fee"]),
            int(body["count"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _none_of_ours() from error


def _none_of_ours() -> SecureFlowError:
    return refused("a stored ticket is none for this chain")
