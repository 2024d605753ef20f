"""The table of a sweep: one row for each point, the best of them, and folds taken together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.domain.specs.base import dump
from secureflow.domain.specs.sweep import FOLD, SweepSpec
from secureflow.engines.sweep.settings import sets_of
from secureflow.kit.canonical import JSON, canonical_bytes

Row = Mapping[str, JSON]
SUCCEEDED: Final = "succeeded"
_KEPT: Final[tuple[str, ...]] = ("point", "job", "sets", "model", "value")
_KEPT_OF_FOLDS: Final[tuple[str, ...]] = ("sets", "value", "deviation", "folds")


def row_of(spec: SweepSpec, number: int, answer: Mapping[str, JSON], seconds: float) -> Row:
    """Return the row of a point that has run.

    It has `point`, `job`, `sets` (field → value), `state`, `seconds`, and of a job that succeeded
    `rounds`, `metrics`, `model` (`{digest, id, version}`), `epsilon` under differential privacy;
    of another one its `error`.
    """
    row: dict[str, JSON] = {
        "point": number,
        "job": answer["job"],
        "sets": sets_of(spec, number),
        "state": answer["state"],
        "seconds": seconds,
    }
    report = answer.get("report")
    if not isinstance(report, Mapping):
        return {**row, "error": answer.get("error")}
    model = report.get("model") or {}
    row["rounds"] = report.get("rounds")
    row["metrics"] = dict(report.get("metrics") or {})
    row["model"] = {name: model.get(name) for name in ("digest", "id", "version")}
    if report.get("metrics_errors"):
        row["metrics_errors"] = dict(report["metrics_errors"])
    if report.get("privacy"):
        row["epsilon"] = report["privacy"].get("epsilon")
    return row


def best_of(spec: SweepSpec, rows: Sequence[Row]) -> dict[str, JSON] | None:
    """Return the best point by the spec's metric; None if no point has it.

    It has `point`, `job`, `sets`, `model` and `value`; of a cross-validation `sets`, `value` (the
    mean), `deviation` and `folds` of the best settings that all folds measured. Of equal ones the
    earlier is the best, and `tied` says how many they are.
    """
    metric, kept = spec.metric, _KEPT
    if metric is None:
        return None
    if spec.folds:
        listed = [one for one in folded(spec, rows) if one["folds"] == spec.folds]
        found = [(one["mean"], {**one, "value": one["mean"]}) for one in listed]
        kept = _KEPT_OF_FOLDS
    else:
        measured = [(row, _figure(row, metric.name)) for row in rows]
        found = [(value, {**row, "value": value}) for row, value in measured if value is not None]
    best: tuple[float, Mapping[str, JSON]] | None = None
    for value, row in found:
        if best is None or metric.beats(value, best[0]):
            best = value, row
    if best is None:
        return None
    equal = sum(value == best[0] for value, _ in found)
    tied: dict[str, JSON] = {"tied": equal} if equal > 1 else {}
    return {"metric": dump(metric), **{k: best[1][k] for k in kept}, **tied}


def folded(spec: SweepSpec, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return each setting's mean and sample standard deviation over its folds, in their order.

    A row has `sets` (without the fold), `folds` (how many measured it), `mean`, and `deviation`,
    None of one fold alone. [] if the sweep is no cross-validation, or measures nothing.
    """
    metric, groups = spec.metric, dict[bytes, tuple[dict[str, JSON], list[float]]]()
    if metric is None or not spec.folds:
        return []
    for row in rows:
        sets = {name: value for name, value in row["sets"].items() if name != FOLD}
        _, values = groups.setdefault(canonical_bytes(sets), (sets, []))
        value = _figure(row, metric.name)
        if value is not None:
            values.append(value)
    return [
        {"sets": sets, "folds": len(values), "mean": _mean(values), "deviation": _spread(values)}
        for sets, values in groups.values()
        if values
    ]


def _figure(row: Row, name: str) -> float | None:
    value = (row.get("metrics") or {}).get(name) if row["state"] == SUCCEEDED else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _spread(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    mean = _mean(values)
    return math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (len(values) - 1))
