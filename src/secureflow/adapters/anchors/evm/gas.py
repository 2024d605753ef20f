"""How much gas a batch is given: by measured figures, never by asking (GoQuorum cannot estimate).

The figures are the most that an entry of a kind took on an empty place (`python -m benchmarks.evm_gas`
prints them), with a third on top. What is not used is not charged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from secureflow.adapters.anchors.evm.faults import refused
from secureflow.engines.anchors.entries import Entry, SetContributions
from secureflow.kit.text import Text

ENTRY: Final[Mapping[str, int]] = {
    "anchor": 200_000,
    "registerJob": 130_000,
    "approveJob": 60_000,
    "commitDataset": 110_000,
    "commitRound": 95_000,
    "spend": 70_000,
    "setContributions": 240_000,
    "dispute": 120_000,
    "withdraw": 60_000,
    "split": 170_000,
    "settle": 150_000,
    "confirm": 60_000,
    "admit": 300_000,
    "remove": 130_000,
    "upgrade": 110_000,
}
"""Of one entry that is kept and, where it is a vote, carried."""
NAMED: Final = 11_000
"""Of each member whose share is named."""
OWED: Final = 33_000
"""Of each member that is owed for the first time."""
BASE: Final = 90_000
BYTE: Final = 16
"""Of a byte of a call (EIP-2028)."""
FLOOR: Final = 40
"""Of a byte of a call at the least (EIP-7623)."""
DEPLOY: Final = 4_600_000
FOUNDER: Final = 190_000
"""Of each member that a contract is made with."""


def gas_for(entries: Sequence[Entry], call: int, owed: int, most: int) -> int:
    """Return the gas for a batch.

    Args:
        entries: in it.
        call: bytes of its call.
        owed: members named in the contributions that its splits may share by.
        most: that a transaction may have.

    Raises:
        SecureFlowError: `anchor_refused`: that would be more than `most`.
    """
    named = sum(len(one.members) for one in entries if isinstance(one, SetContributions))
    run = sum(ENTRY[one.kind] for one in entries) + NAMED * named + OWED * owed
    gas = max(BASE + BYTE * call + run, BASE + FLOOR * call)
    if gas > most:
        raise refused(
            Text(
                "{count} entries take up to {gas} gas, and a transaction may have {most}",
                count=len(entries),
                gas=gas,
                most=most,
            )
        )
    return gas
