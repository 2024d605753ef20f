"""What a round fitted, in rows for people: every number that a recipe holds of it."""

from __future__ import annotations

from typing import Any

from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.preparation.fitting import Progress
from secureflow.kit.canonical import JSON


def newly_fitted(spec: PreparationSpec, before: Progress, now: Progress) -> list[dict[str, JSON]]:
    """Return each column's fit that came to be between two progresses.

    A row has `step` (from 1), `name` of the step, `column`, and `fit`; of a selection the columns
    that it keeps, and what it chose them by.
    """
    rows: list[dict[str, JSON]] = []
    for at, (step, old, new) in enumerate(zip(spec.steps, before.fits, now.fits, strict=True), 1):
        if old is None and new is not None:
            rows += _rows(at, step, new)
    return rows


def _rows(at: int, step: Any, fit: Any) -> list[dict[str, JSON]]:
    named = {"step": at, "name": step.step}
    rows = [{**named, "column": name, "fit": one} for name, one in fit["columns"].items()]
    if "kept" in fit:
        rows.append({**named, "column": "", "fit": {"kept": fit["kept"], "values": fit["values"]}})
    return rows
