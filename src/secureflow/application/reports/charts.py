"""The geometry of small line charts; a report's template draws them as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Points = Sequence[tuple[float, float]]
"""(round, value) pairs, in ascending round order, all finite."""


@dataclass(frozen=True)
class ChartFrame:
    """The chart's size and the margins around the plotted area, in pixels."""

    width: float = 320.0
    height: float = 180.0
    left: float = 46.0
    right: float = 10.0
    top: float = 12.0
    bottom: float = 26.0


SMALL = ChartFrame()


@dataclass(frozen=True)
class Tick:
    """A tick of an axis: its position in pixels and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class ChartCurve:
    """A curve in pixels: `path` is an SVG path, `last` the position of its newest point."""

    name: str
    path: str
    last: tuple[float, float]
    value: float


@dataclass(frozen=True)
class Plot:
    """Curves on the same axes."""

    frame: ChartFrame
    curves: tuple[ChartCurve, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


@dataclass(frozen=True)
class Chart:
    """One curve with its own axes."""

    name: str
    path: str
    last: tuple[float, float]
    value: float
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def chart(name: str, points: Points) -> Chart:
    """Lay out a curve over rounds.

    Args:
        name: the name of the plotted value.
        points: at least two.
    """
    drawn = plot({name: points})
    (curve,) = drawn.curves
    return Chart(name, curve.path, curve.last, curve.value, drawn.across, drawn.up)


def plot(
    lines: Mapping[str, Points], frame: ChartFrame = SMALL, marks: Sequence[float] = ()
) -> Plot:
    """Lay out several curves over the same rounds.

    Args:
        lines: name → at least one point; over all lines at least two rounds.
        frame: size and margins.
        marks: rounds to mark on the x axis; by default the first and the last.
    """
    rounds = [x for points in lines.values() for x, _ in points]
    values = [y for points in lines.values() for _, y in points]
    steps = nice_steps(min(values), max(values))
    low, high = steps[0], steps[-1]
    first, last = min(rounds), max(rounds)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / ((last - first) or 1.0)
        up = (y - low) / (high - low)
        return (
            round(frame.left + across * (frame.width - frame.left - frame.right), 1),
            round(frame.height - frame.bottom - up * (frame.height - frame.top - frame.bottom), 1),
        )

    step = steps[1] - steps[0]
    digits = next((d for d in range(12) if math.isclose(step, round(step, d))), 12)
    return Plot(
        frame=frame,
        curves=tuple(_curve(name, points, place) for name, points in lines.items()),
        across=tuple(
            Tick(place(x, low)[0], f"{x:g}") for x in dict.fromkeys(marks or (first, last))
        ),
        up=tuple(Tick(place(first, y)[1], f"{y:.{digits}f}") for y in steps),
    )


def nice_steps(low: float, high: float, count: int = 4) -> list[float]:
    """Return at least two round values that span the interval, in about `count` steps."""
    size = max(abs(low), abs(high), 1.0)
    span = high - low if high - low > 1e-9 * size else 0.1 * size  # or ticks look the same
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m * count >= span)
    start = math.floor(low / step + 1e-9)
    end = max(start + 1, math.ceil(high / step - 1e-9))
    return [round(i * step, 12) for i in range(start, end + 1)]


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return y positions of labels in their order, `gap` apart if [low, high] has room.

    Args:
        places: the desired position of each label.
        gap: the minimum distance between two labels.
        low: the smallest position.
        high: the largest.
    """
    gap = min(gap, (high - low) / max(1, len(places) - 1))
    order = sorted(range(len(places)), key=places.__getitem__)
    heights = [0.0] * len(places)
    below = low - gap
    for at in order:
        below = heights[at] = max(places[at], below + gap)
    above = high + gap
    for at in reversed(order):
        above = heights[at] = min(heights[at], above - gap)
    return [round(height, 1) for height in heights]


def _curve(
    name: str, points: Points, place: Callable[[float, float], tuple[float, float]]
) -> ChartCurve:
    pixels = [place(x, y) for x, y in points]
    path = "M" + " L".join(f"{x} {y}" for x, y in pixels)
    return ChartCurve(name, path, pixels[-1], points[-1][1])
