"""What a member sends to the places that keep deeds, for each step of a settlement.

The entries follow from what the member signed and verified itself; they are repeated safely, since
each has the natural key of its sender, job and version (`engines.anchors`).
"""

from __future__ import annotations

from collections.abc import Mapping

from secureflow.engines.anchors.entries import (
    Confirm,
    Dispute,
    Entry,
    SetContributions,
    Settle,
    Split,
    Withdraw,
    currency_word,
    job_digest,
)
from secureflow.engines.revenue.agreement import Agreement
from secureflow.engines.revenue.deeds import Deed
from secureflow.engines.revenue.settlement import Booking, Computed, Settlement
from secureflow.kit.canonical import b64decode


def entries_of(
    deed: Deed, agreement: Agreement, settlement: Settlement, result: Computed
) -> tuple[Entry, ...]:
    """Return what a member sends for a step: its own deed, or the centre's `close`.

    Args:
        deed: the step; `close` is sent by members that approved the same amounts.
        agreement, settlement: of it.
        result: what the member computed.
    """
    version = settlement.version
    keys = {name: b64decode(key) for name, key in agreement.keys.items()}
    currency = currency_word(agreement.currency)
    facts = deed.facts
    bookings = result.bookings
    jobs = [job_digest(one.job) for one in bookings]
    found: tuple[Entry, ...] = ()
    match deed.act:
        case "approve":
            found = tuple(
                _contributions(one, version, keys, agreement.rounding) for one in bookings
            )
        case "dispute":
            evidence = bytes.fromhex(facts["evidence"])
            found = tuple(Dispute(job, version, evidence) for job in jobs)
        case "withdraw":
            found = tuple(Withdraw(job, version) for job in jobs)
        case "close":
            payer = keys[agreement.payer]
            found = tuple(
                Split(job_digest(one.job), version, payer, one.amount, currency)
                for one in bookings
                if one.amount
            )
        case "pay":
            reference = bytes.fromhex(facts["reference"])
            found = (Settle(keys[facts["payee"]], facts["amount"], currency, reference),)
        case "confirm":
            found = (Confirm(keys[facts["payer"]], bytes.fromhex(facts["reference"])),)
        case "accuse":
            found = ()
    return found


def _contributions(
    booking: Booking, version: int, keys: Mapping[str, bytes], rounding: str
) -> SetContributions:
    ordered = sorted((keys[name], share) for name, share in booking.shares.items())
    return SetContributions(
        job=job_digest(booking.job),
        version=version,
        root=booking.root,
        members=tuple(key for key, _ in ordered),
        shares=tuple(share for _, share in ordered),
        rounding=keys[rounding],
    )
