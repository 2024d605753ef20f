"""The points of a sweep as a report's page shows them: a table, and a picture of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.application.reports.parallel import ParallelPlot, parallel
from secureflow.domain.figures import figure
from secureflow.domain.specs.bundle_family import ROWS
from secureflow.domain.specs.parts import setting, settings_of

_LAST: Final = ("rounds", "epsilon")


@dataclass(frozen=True)
class PointRow:
    """A line of the table: `cells` under the figures' names, `why` of a job that failed."""

    point: Any
    settings: tuple[str, ...]
    cells: tuple[str, ...]
    state: str
    job: str
    model: str
    why: Mapping[str, Any]
    best: bool


@dataclass(frozen=True)
class FoldRow:
    """A line of the folds' table."""

    settings: str
    mean: Any
    deviation: Any
    folds: Any


@dataclass(frozen=True)
class PointsView:
    """What the page shows of a sweep: fields that are set, figures, rows, folds, the picture."""

    swept: tuple[str, ...]
    figures: tuple[str, ...]
    rows: tuple[PointRow, ...]
    folds: tuple[FoldRow, ...]
    plot: ParallelPlot | None


def points_view(report: Mapping[str, Any]) -> PointsView | None:
    """Return the view of a sweep's report; None of a report without points."""
    points = _mappings(report.get("points"))
    if not points:
        return None
    swept = tuple(dict.fromkeys(name for one in points for name in _of(one, "sets")))
    metrics = dict.fromkeys(name for one in points for name in _of(one, "metrics"))
    shown = (*metrics, *(name for name in _LAST if any(one.get(name) for one in points)))
    best = _of(report, "best").get("point")
    return PointsView(
        swept,
        shown,
        tuple(_row(one, swept, shown, best) for one in points),
        tuple(
            FoldRow(settings_of(_of(one, "sets")), one.get("mean"), one.get("deviation"),
                    one.get("folds"))
            for one in _mappings(report.get("folds"))
        ),
        parallel(report),
    )  # fmt: skip


def _row(
    point: Mapping[str, Any], swept: Sequence[str], shown: Sequence[str], best: Any
) -> PointRow:
    sets, figures = _of(point, "sets"), {**point, **_of(point, "metrics")}
    return PointRow(
        point.get("point"),
        tuple(setting(sets[name]) if name in sets else "" for name in swept),
        tuple(_figure(name, figures.get(name)) for name in shown),
        str(point.get("state", "")),
        str(point.get("job", "")),
        str(_of(point, "model").get("id") or ""),
        _of(point, "error"),
        best is not None and point.get("point") == best,
    )


def _figure(name: str, value: Any) -> str:
    counted = name == ROWS and isinstance(value, int | float)
    return f"{round(value):,}" if counted else figure(value)


def _of(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
