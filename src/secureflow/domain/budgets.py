"""Privacy budgets: the limit that an owner set for a privacy domain, and the spending reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PrivacyUnit = Literal["record", "party", "person"]


@dataclass(frozen=True)
class Budget:
    """A privacy domain's limit and spending. The agent's own ledger decides; this is a report."""

    id: str
    organisation: str
    domain: str
    unit: PrivacyUnit
    epsilon_limit: float
    delta_limit: float
    epsilon_spent: float
    updated: int
