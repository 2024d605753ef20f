"""Which chain, which contract, and how it is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Fees = Literal["auto", "legacy", "dynamic"]
ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")
MAX_GAS: Final = 16_000_000
"""Of one transaction: EIP-7825 allows 2^24 on public chains, and anvil's blocks have 30 million."""


MOST_FEE: Final = 500_000_000_000
"""500 gwei: dearer hours of public chains pass."""


@dataclass(frozen=True)
class EvmSettings:
    """One place on a chain.

    Args:
        url: of the owner's own node (JSON-RPC over HTTP).
        chain: its chain id.
        contract: the contract's address in lowercase hex, with 0x.
        confirmations: blocks on top of one that make it final; 0 where a block is final at once
            (IBFT, QBFT, Raft).
        fees: `legacy` sends type 0 at `price`, `dynamic` type 2; `auto` takes type 2 where the
            newest block has a base fee that is not zero.
        price: wei for a unit of gas; consortium chains take none.
        tip: wei for a unit of gas beside the base fee.
        most_fee: wei for a unit of gas, base fee and tip, that are paid at the most.
        most_gas: of one transaction.
        limit: entries of one transaction.
        span: blocks of one question for events; nodes refuse more than they like.
        seconds: that one question may take.
        authority: PEM file of the authorities that vouch for the node; None: the system's.
    """

    url: str
    chain: int
    contract: str
    confirmations: int = 12
    fees: Fees = "auto"
    price: int = 0
    tip: int = 0
    most_fee: int = MOST_FEE
    most_gas: int = MAX_GAS
    limit: int = 128
    span: int = 2_000
    seconds: float = 15.0
    authority: Path | None = None

    @property
    def place(self) -> str:
        """The place's name, the same for everyone."""
        return place_of(self.chain, self.contract)


def place_of(chain: int, contract: str) -> str:
    """Return `evm:<chain id>:<address>`, lowercase."""
    return f"evm:{chain}:{contract.lower()}"
