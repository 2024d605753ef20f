"""Which columns a step `select` keeps, by what it chose them by.

| by            | values                                                                       |
|---------------|------------------------------------------------------------------------------|
| `iv`          | {column: its information value}                                              |
| `variance`    | {column: its variance}                                                       |
| `correlation` | {column: {kept column before it: |r|}}, of the largest |r|; {} for the first |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secureflow.domain.specs.steps import Select


def chosen(step: Select, values: Mapping[str, Any]) -> list[str]:
    """Return the columns that stay, in order.

    Args:
        step: the step.
        values: of each column that it chooses from, in order, as in the module's table.
    """
    if step.by == "iv":
        return [name for name, value in values.items() if value >= step.threshold]
    if step.by == "variance":
        return [name for name, value in values.items() if value > step.threshold]
    return [
        name
        for name, nearest in values.items()
        if all(value <= step.threshold for value in nearest.values())
    ]


def nearest(
    step: Select, names: Sequence[str], pairs: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Return each column's largest |r| with one before it that stays.

    Args:
        step: by correlation.
        names: the columns that it chooses from, in order.
        pairs: {column: {later column: |r|}}; a pair that is not there has none.
    """
    found: dict[str, dict[str, float]] = {}
    kept: list[str] = []
    for name in names:
        closest = max(kept, key=lambda other: pairs[other].get(name, 0.0), default=None)
        found[name] = {} if closest is None else {closest: pairs[closest].get(name, 0.0)}
        kept += chosen(step, {name: found[name]})
    return found
