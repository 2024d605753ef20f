"""How much gas a batch is given: by measured figures, never by asking (GoQuorum cannot estimate).

The figures are the most that an entry of a kind took on an empty place, with a third on top
(`python -m benchmarks.evm_gas` prints them). What is not used is not charged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from secureflow.adapters.anchors.evm.faults import unavailable
from secureflow.engines.anchors.entries import Entry, SetContributions
from secureflow.kit.text import Text

ENTRY: Final[Mapping[str, int]] = {
    "anchor": 220_000,
    "registerJob": 115_000,
    "approveJob": 65_000,
    "commitDataset": 85_000,
    "commitRound": 95_000,
    "spend": 65_000,
    "setContributions": 175_000,
    "dispute": 120_000,
    "withdraw": 40_000,
    "split": 125_000,
    "settle": 125_000,
    "confirm": 45_000,
    "admit": 240_000,
    "remove": 100_000,
    "upgrade": 105_000,
}
"""Of one entry that is kept and, where it is a vote, carried."""
NAMED: Final = 10_500
"""Of each member whose share is named."""
OWED: Final = 31_000
"""Of each member that is owed for the first time."""
BASE: Final = 60_000
BYTE: Final = 16
"""Of a byte of a call (EIP-2028)."""
FLOOR: Final = 40
"""Of a byte of a call at the least (EIP-7623)."""
BASE_SHARE: Final = 8
"""At least this part of the base fee is the tip, so that a later ticket outbids an earlier one."""
DEPLOY: Final = 4_300_000
FOUNDER: Final = 150_000
"""Of each member that a contract is made with."""


def dynamic_fees(base: int, tip: int, most: int) -> dict[str, int]:
    """Return the fields of a transaction of type 2 for its fees.

    Args:
        base: fee of the newest block, as the node says.
        tip: wei for a unit of gas at the least.
        most: wei for a unit of gas that may be paid: a node that lies about the base fee would
            otherwise spend what the account has.

    Raises:
        InfrastructureError: `anchor_unavailable`: it is dearer by now.
    """
    tip = max(tip, base // BASE_SHARE)
    fee = 2 * base + tip
    if fee > most:
        raise unavailable(
            Text(
                "a unit of gas would cost up to {fee} wei, and at most {most} are paid",
                fee=fee,
                most=most,
            )
        )
    return {"type": 2, "maxFeePerGas": fee, "maxPriorityFeePerGas": tip}


def gas_for(entries: Sequence[Entry], call: int, owed: int) -> int:
    """Return the gas for a batch.

    Args:
        entries: in it.
        call: bytes of its call.
        owed: members named in the contributions that its splits may share by.
    """
    named = sum(len(one.members) for one in entries if isinstance(one, SetContributions))
    run = sum(ENTRY[one.kind] for one in entries) + NAMED * named + OWED * owed
    return max(BASE + BYTE * call + run, BASE + FLOOR * call)
