"""The points of a sweep as a report's page shows them: a table, and a picture of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from secureflow.application.reports.parallel import ParallelPlot, parallel
from secureflow.domain.figures import figure
from secureflow.domain.specs.bundle_family import ROWS
from secureflow.domain.specs.parts import MOST_PARTS, setting, settings_of
from secureflow.kit.reading import MAX_LINES, members, number, objects

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
    points = objects(report.get("points"), MOST_PARTS)
    if not points:
        return None
    swept = tuple(_names(points, "sets"))
    metrics = _names(points, "metrics")
    shown = (*metrics, *(name for name in _LAST if any(one.get(name) for one in points)))
    best = members(report.get("best")).get("point")
    return PointsView(
        swept,
        shown,
        tuple(_row(one, swept, shown, best) for one in points),
        tuple(
            FoldRow(settings_of(members(one.get("sets"))), one.get("mean"), one.get("deviation"),
                    one.get("folds"))
            for one in objects(report.get("folds"), MOST_PARTS)
        ),
        parallel(report),
    )  # fmt: skip


def _names(points: Sequence[Mapping[str, Any]], part: str) -> Iterator[str]:
    """Yield the names in a part of any point, each once; a table has so many columns at most."""
    found = dict.fromkeys(name for one in points for name in members(one.get(part)))
    return islice(found, MAX_LINES)


def _row(
    point: Mapping[str, Any], swept: Sequence[str], shown: Sequence[str], best: Any
) -> PointRow:
    sets, figures = members(point.get("sets")), {**point, **members(point.get("metrics"))}
    return PointRow(
        point.get("point"),
        tuple(setting(sets[name]) if name in sets else "" for name in swept),
        tuple(_figure(name, figures.get(name)) for name in shown),
        str(point.get("state", "")),
        str(point.get("job", "")),
        str(members(point.get("model")).get("id") or ""),
        members(point.get("error")),
        best is not None and point.get("point") == best,
    )


def _figure(name: str, value: Any) -> str:
    counted = name == ROWS and number(value) is not None
    return f"{round(value):,}" if counted else figure(value)
