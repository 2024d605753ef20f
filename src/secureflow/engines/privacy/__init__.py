"""Differential privacy: accounting, noise, clipping, DP-SGD, the budget and its audit."""

from secureflow.engines.privacy.accounting import (
    Charge,
    Mechanism,
    calibrate,
    delta_at,
    epsilon,
    noise_share,
    parse_charge,
)
from secureflow.engines.privacy.budget import (
    BudgetLedger,
    Limit,
    check_sums,
    unit_fixed,
)
from secureflow.engines.privacy.clipping import AdaptiveClip, clip_norm
from secureflow.engines.privacy.dpsgd import DpSgd

__all__ = [
    "AdaptiveClip",
    "BudgetLedger",
    "Charge",
    "DpSgd",
    "Limit",
    "Mechanism",
    "calibrate",
    "check_sums",
    "clip_norm",
    "delta_at",
    "epsilon",
    "noise_share",
    "parse_charge",
    "unit_fixed",
]
