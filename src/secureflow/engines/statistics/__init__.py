"""Differentially private statistics: the layout of a job's vector, its cost, its one masked sum."""

from __future__ import annotations

from secureflow.engines.statistics.answers import TOO_FEW_ROWS, answers
from secureflow.engines.statistics.charges import charge, released
from secureflow.engines.statistics.layout import LIMIT, UNIT, QueryLayout, layout, slots
from secureflow.engines.statistics.own import OwnBounds
from secureflow.engines.statistics.plan import (
    STAGE,
    honest_shares,
    masked_values,
    opened_total,
    statistics_plan,
)

__all__ = [
    "LIMIT",
    "STAGE",
    "TOO_FEW_ROWS",
    "UNIT",
    "OwnBounds",
    "QueryLayout",
    "answers",
    "charge",
    "honest_shares",
    "layout",
    "masked_values",
    "opened_total",
    "released",
    "slots",
    "statistics_plan",
]
