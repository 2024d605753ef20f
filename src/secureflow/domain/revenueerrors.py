"""The error codes of revenue: part of the catalogue (`domain.errors`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REVENUE_CODES: Final[Mapping[str, str]] = {
    "malformed_agreement": "invalid",
    "agreement_missing": "not_found",
    "agreement_not_confirmed": "invalid",
    "agreement_not_signed": "conflict",
    "agreement_mismatch": "conflict",
    "agreement_altered": "untrusted",
    "malformed_settlement": "invalid",
    "settlement_not_possible": "conflict",
    "settlement_differs": "conflict",
    "settlement_altered": "untrusted",
    "settlement_deed_forged": "untrusted",
    "settlement_deed_dropped": "untrusted",
    "settlement_closed_early": "untrusted",
    "evidence_not_verified": "conflict",
}
"""Code → the value of its category."""
ACCUSING: Final = frozenset(
    {
        "agreement_altered",
        "settlement_altered",
        "settlement_deed_forged",
        "settlement_deed_dropped",
        "settlement_closed_early",
    }
)
"""Refusals that an honest centre never causes."""
