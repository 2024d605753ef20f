"""The geometry of parallel coordinates: an axis for each setting and figure, a line for each point.

A report's template draws it as inline SVG. A sweep of 64 points with ten settings is one picture,
in which the settings of good points are seen to lie together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.application.reports.charts import Tick
from secureflow.domain.specs.parts import setting, settings_of
from secureflow.kit.reading import finite, members, objects

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
    rows = [row for row in objects(report.get("points")) if row.get("state") == "succeeded"]
    name = str(members(report.get("metric")).get("name") or "")
    if name:
        rows = [row for row in rows if finite(members(row.get("metrics")).get(name))]
    columns = {one: [_set(row, one) for row in rows] for one in _names(report.get("swept"))}
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
            int(row["point"]),
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
    if all(map(finite, values)) and len(set(values)) > 1:
        low, high = float(min(values)), float(max(values))
        log = low > 0 and high / low >= _LOG_FROM
        scale = math.log if log else float
        start, span = scale(low), scale(high) - scale(low)

        def numeric(value: Any) -> float:
            return _height((scale(value) - start) / span)

        middle = math.sqrt(low * high) if log else (low + high) / 2
        ticks = tuple(Tick(numeric(one), f"{one:.4g}") for one in (low, middle, high))
        return numeric, ticks
    names = list(dict.fromkeys(map(_text, values)))

    def named(value: Any) -> float:
        return _height((names.index(_text(value)) + 0.5) / len(names))

    return named, tuple(Tick(_height((at + 0.5) / len(names)), one) for at, one in enumerate(names))


def _height(share: float) -> float:
    return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def _set(row: Mapping[str, Any], name: str) -> Any:
    return members(row.get("sets")).get(name, _ABSENT)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else setting(value)


def _names(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
