"""The table of a sweep's points: what each sets, its figures, its job and its model in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.cli.console import Form, show, write
from secureflow.cli.texts import said, t
from secureflow.kit.text import text_in

_FIRST: Final = ("point",)
_LAST: Final = ("rounds", "epsilon", "state", "job", "model")
_RARE: Final = frozenset({"epsilon", "rounds", "job", "model"})


def show_points(report: Mapping[str, Any]) -> None:
    """Print the table of a sweep's points, folds taken together, the best, and what that costs."""
    points = report.get("points")
    if not isinstance(points, list) or not points:
        return
    metric = report.get("metric")
    by = str(metric.get("name")) if isinstance(metric, Mapping) else ""
    rows = [point_row(one) for one in points]
    write("")
    show(rows, Form.TABLE, point_columns(rows, by))
    if folds := report.get("folds"):
        write(f"\n{t('Over the folds')}")
        shown = [{**one["sets"], **{k: one[k] for k in ("mean", "deviation", "folds")}}
                 for one in folds]  # fmt: skip
        names = list(dict.fromkeys(name for one in folds for name in one["sets"]))
        show(shown, Form.TABLE, (*names, "mean", "deviation", "folds"))
    if isinstance(best := report.get("best"), Mapping):
        write("")
        write(best_line(best))
    if choosing := text_in(report, "choosing"):
        write(said(choosing))


def point_row(point: Mapping[str, Any]) -> dict[str, Any]:
    """Return a point as a row: what it sets, its figures, the job and the model in full."""
    model, error = point.get("model"), point.get("error")
    row = {"point": point.get("point"), **(point.get("sets") or {}), **(point.get("metrics") or {})}
    row |= {name: point.get(name) for name in ("rounds", "epsilon", "job")}
    if isinstance(row.get("rows"), float):
        row["rows"] = round(row["rows"])
    row["model"] = model.get("id") if isinstance(model, Mapping) else None
    row["state"] = t(str(point.get("state") or ""))
    if isinstance(error, Mapping):
        row["state"] += f": {error.get('code')}"
    return row


def point_columns(rows: Sequence[Mapping[str, Any]], by: str = "") -> list[str]:
    """Return the columns of a table of points: settings, then figures (`by` first), then the rest.

    Args:
        rows: of `point_row`.
        by: the figure by which one is the best.
    """
    known = {*_FIRST, *_LAST}
    named = dict.fromkeys(name for row in rows for name in row if name not in known)
    sets = [name for name in named if "." in name]
    figures = sorted((name for name in named if "." not in name), key=lambda one: one != by)
    last = [
        name
        for name in _LAST
        if name not in _RARE or any(row.get(name) is not None for row in rows)
    ]
    return [*_FIRST, *sets, *figures, *last]


def best_line(best: Mapping[str, Any]) -> str:
    """Say which point is the best, by which figure, and which model is its own."""
    from secureflow.domain.specs.parts import settings_of

    metric = best.get("metric") or {}
    facts = {
        "sets": settings_of(best.get("sets") or {}) or t("as it is"),
        "metric": t(str(metric.get("name"))),
        "value": f"{best.get('value'):.6g}",
    }
    if best.get("folds"):
        spread = best.get("deviation")
        return t("best: {sets}, with a mean {metric} of {value} ± {spread} over {count} folds",
                 spread="?" if spread is None else f"{spread:.3g}", count=best["folds"],
                 **facts)  # fmt: skip
    model = (best.get("model") or {}).get("id") or "?"
    return t("best: point {point} ({sets}), {metric} {value}, model {model}",
             point=best.get("point"), model=model, **facts)  # fmt: skip
