"""The part of a preparation's report that people read: what was fitted, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.kit.canonical import JSON

FITTED: Final = "What was fitted"
_MOST: Final = 12
"""Numbers of a list that are told; the recipe has all."""


def sections(fitted: Sequence[Mapping[str, Any]]) -> list[dict[str, JSON]]:
    """Return the sections of a report: a row for each column of each step that was fitted."""
    rows: list[dict[str, JSON]] = []
    for one in fitted:
        label = f"{one['step']}. {one['name']} {one['column']}".rstrip()
        rows.append({"label": label, "value": _told(one["fit"])})
    return [{"title": FITTED, "rows": rows}] if rows else []


def _told(fit: Mapping[str, Any]) -> list[str]:
    return [f"{name}: {_short(value)}" for name, value in fit.items()]


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_short(one)}" for name, one in list(value.items())[:_MOST])
    if isinstance(value, list):
        more = f", … ({len(value)})" if len(value) > _MOST else ""
        return ", ".join(map(_short, value[:_MOST])) + more
    return f"{value:.6g}" if isinstance(value, float) else str(value)
