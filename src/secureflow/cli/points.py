"""The table of a sweep's points: what each sets, its figures, its job and its model in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.cli.console import Form, show, write
from secureflow.cli.texts import part_of, said, t
from secureflow.kit.reading import members, number, objects

_FIRST: Final = ("point",)
_LAST: Final = ("rounds", "epsilon", "state", "job", "model")
_RARE: Final = frozenset({"epsilon", "rounds", "job", "model"})
_OF_FOLDS: Final = ("mean", "deviation", "folds")


def show_points(report: Mapping[str, Any]) -> None:
    """Print the table of a sweep's points, folds taken together, the best, and what that costs."""
    points = objects(report.get("points"))
    if not points:
        return
    rows = [point_row(one) for one in points]
    write("")
    show(rows, Form.TABLE, point_columns(rows, str(members(report.get("metric")).get("name"))))
    if folds := objects(report.get("folds")):
        write(f"\n{t('Over the folds')}")
        sets = [members(one.get("sets")) for one in folds]
        shown = [{**told, **{name: one.get(name) for name in _OF_FOLDS}}
                 for told, one in zip(sets, folds, strict=True)]  # fmt: skip
        show(shown, Form.TABLE, (*dict.fromkeys(name for one in sets for name in one), *_OF_FOLDS))
    if best := members(report.get("best")):
        write("")
        write(best_line(best))
        if (tied := number(best.get("tied"))) is not None:
            write(t("{count} are equally good: the first of them is named.", count=round(tied)))
        if noise := _noise_line(points, best):
            write(noise)
    if choosing := part_of(report, "choosing"):
        write(said(choosing))


def show_planned(points: Sequence[Mapping[str, Any]]) -> None:
    """Print the table of points of a sweep that has not ended: none has a state."""
    rows = [point_row(one) for one in points]
    show(rows, Form.TABLE, [name for name in point_columns(rows) if name != "state"])


def point_row(point: Mapping[str, Any]) -> dict[str, Any]:
    """Return a point as a row: what it sets, its figures, the job and the model in full."""
    row = {"point": None, **members(point.get("sets")), **members(point.get("metrics"))}
    row |= {name: point.get(name) for name in ("point", "rounds", "epsilon", "job")}
    if (count := number(row.get("rows"))) is not None:
        row["rows"] = round(count)
    row["model"] = members(point.get("model")).get("id")
    row["state"] = t(str(point.get("state") or ""))
    if error := members(point.get("error")):
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

    facts = {
        "sets": settings_of(members(best.get("sets"))) or t("as it is"),
        "metric": t(str(members(best.get("metric")).get("name"))),
        "value": _digits(best.get("value"), 6),
    }
    if folds := number(best.get("folds")):
        spread = _digits(best.get("deviation"), 3)
        return t("best: {sets}, with a mean {metric} of {value} ± {spread} over {count} folds",
                 spread=spread, count=round(folds), **facts)  # fmt: skip
    model = str(members(best.get("model")).get("id") or "?")
    return t("best: point {point} ({sets}), {metric} {value}, model {model}",
             point=str(best.get("point")), model=model, **facts)  # fmt: skip


def _noise_line(points: Sequence[Mapping[str, Any]], best: Mapping[str, Any]) -> str:
    """Say by how much noise alone moves the best point's figure, where it was noised."""
    metric = str(members(best.get("metric")).get("name"))
    chosen = next((one for one in points if one.get("point") == best.get("point")), {})
    error = number(members(chosen.get("metrics_errors")).get(metric))
    if not error:
        return ""
    return t(
        "Noise for differential privacy alone moves this figure by ± {half} in 95 of 100 cases: "
        "points that differ by less cannot be told apart.",
        half=_digits(1.96 * error, 2),
    )


def _digits(value: Any, digits: int) -> str:
    """Return a number to so many digits; what is none is not known."""
    found = number(value)
    return "?" if found is None else f"{found:.{digits}g}"
