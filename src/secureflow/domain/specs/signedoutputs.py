"""What parties sign of the outputs of a step: digests, whatever kind of job gave them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.domain.fieldfaults import DIGEST_PATTERN, SLUG_PATTERN
from secureflow.domain.specs.conditions import are_metrics
from secureflow.kit.canonical import digest

MEMBERS: Final = frozenset({"model", "round", "moments", "recipe", "rows", "metrics"})
"""The members of what a party signs; it has those that the step gave."""

_MOST_PARTIES: Final = 256


def moments_digest(moments: Sequence[float]) -> str:
    """Return the hex SHA-256 of released sums, as parties sign them."""
    return digest([float(one) for one in moments])


def is_signed(value: Mapping[str, Any]) -> bool:
    """Tell whether foreign JSON has the form of what parties sign."""
    if set(value) - MEMBERS or ("model" in value) != ("round" in value):
        return False
    digests = [one for name, one in value.items() if name not in {"round", "rows", "metrics"}]
    if "metrics" in value and not are_metrics(value["metrics"]):
        return False
    if "rows" in value:
        rows = value["rows"]
        if not isinstance(rows, Mapping) or not 1 <= len(rows) <= _MOST_PARTIES:
            return False
        if not all(isinstance(one, str) and re.fullmatch(SLUG_PATTERN, one) for one in rows):
            return False
        digests += rows.values()
    known = all(isinstance(one, str) and re.fullmatch(DIGEST_PATTERN, one) for one in digests)
    count = value.get("round", 0)
    return known and type(count) is int and 0 <= count <= 10_000
