"""The geometry of parallel coordinates: an axis for each setting and figure, a line for each point.

A report's template draws it as inline SVG. A sweep of 64 points with ten settings is one picture,
in which the settings of good points are seen to lie together.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.application.reports.charts import Tick
from secureflow.domain.specs.parts import MOST_PARTS, setting, settings_of
from secureflow.kit.reading import listed, members, objects

WIDTH: Final = 900.0
HEIGHT: Final = 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 80.0, 90.0, 40.0, 20.0
_LOG_FROM: Final = 20.0
"""Numbers above 0 whose largest is so many times the least have a logarithmic axis."""
_ABSENT: Final = "–"
"""Of a point that leaves a setting as the training has it."""


@dataclass(frozen=True)
class ParallelAxis:
    """A vertical axis: its name, its place in pixels, and its ticks."""

    name: str
    at: float
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class ParallelLine:
    """A point's line: `path` is an SVG path, `title` what it sets."""

    point: int
    path: str
    title: str
    best: bool


@dataclass(frozen=True)
class ParallelPlot:
    """Axes and lines; the best line is the last, so that it is drawn over the others."""

    axes: tuple[ParallelAxis, ...]
    lines: tuple[ParallelLine, ...]


Place = Callable[[Any], float]


def parallel(report: Mapping[str, Any]) -> ParallelPlot | None:
    """Lay out the points of a sweep's report; None if fewer than two points or axes are known."""
    points = objects(report.get("points"), MOST_PARTS)
    rows = [row for row in points if row.get("state") == "succeeded" and _numbered(row)]
    metric = report.get("metric")
    name = str(metric.get("name")) if isinstance(metric, Mapping) else ""
    if name:
        rows = [row for row in rows if _finite(members(row.get("metrics")).get(name))]
    swept = [one for one in listed(report.get("swept")) if isinstance(one, str)]
    columns = {one: [_set(row, one) for row in rows] for one in swept}
    if any(row.get("epsilon") is not None for row in rows):
        columns["epsilon"] = [row.get("epsilon") for row in rows]
    if name:
        columns[name] = [row["metrics"][name] for row in rows]
    if len(rows) < 2 or len(columns) < 2:
        return None
    step = (WIDTH - _LEFT - _RIGHT) / (len(columns) - 1)
    axes, places = [], []
    for number, (column, values) in enumerate(columns.items()):
        place, ticks = _axis(values)
        places.append([place(value) for value in values])
        axes.append(ParallelAxis(column, round(_LEFT + number * step, 1), ticks))
    best = members(report.get("best")).get("point")
    lines = [
        ParallelLine(
            row["point"],
            "M" + " L".join(
                f"{axis.at} {heights[at]}" for axis, heights in zip(axes, places, strict=True)
            ),
            settings_of(members(row.get("sets"))),
            row["point"] == best,
        )
        for at, row in enumerate(rows)
    ]  # fmt: skip
    return ParallelPlot(tuple(axes), tuple(sorted(lines, key=lambda line: line.best)))


def _axis(values: Sequence[Any]) -> tuple[Place, tuple[Tick, ...]]:
    """Return where a value lies on an axis, and the axis' ticks: numbers, or one for each value."""
    if all(map(_finite, values)) and len(set(map(float, values))) > 1:
        return _numbers(float(min(values)), float(max(values)))
    names = list(dict.fromkeys(map(_text, values)))

    def named(value: Any) -> float:
        return _height((names.index(_text(value)) + 0.5) / len(names))

    return named, tuple(Tick(_height((at + 0.5) / len(names)), one) for at, one in enumerate(names))


def _numbers(low: float, high: float) -> tuple[Place, tuple[Tick, ...]]:
    """Return the axis of numbers from `low` to `high`, which is greater.

    Sums, differences and products of two such numbers may be infinite, or 0.
    """
    log = low > 0 and high / low >= _LOG_FROM
    most = max(abs(low), abs(high))

    def scale(value: float) -> float:
        return math.log(value) if log else value / most

    start, span = scale(low), scale(high) - scale(low)

    def numeric(value: Any) -> float:
        return _height((scale(value) - start) / span)

    middle = math.sqrt(low) * math.sqrt(high) if log else low / 2 + high / 2
    ticks = tuple(Tick(numeric(one), f"{one:.4g}") for one in (low, middle, high))
    return numeric, ticks


def _height(share: float) -> float:
    return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def _set(row: Mapping[str, Any], name: str) -> Any:
    return members(row.get("sets")).get(name, _ABSENT)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else setting(value)


def _finite(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max


def _numbered(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("point"), int)
