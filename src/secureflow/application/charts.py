"""The geometry of a small line chart; the report's template draws it as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 320.0, 180.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 12.0, 26.0


@dataclass(frozen=True)
class Tick:
    """One mark of an axis: its place in pixels and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """A curve in pixels: `path` is an SVG path, `last` the place of its newest point."""

    name: str
    path: str
    last: tuple[float, float]
    value: float
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def chart(name: str, points: Sequence[tuple[float, float]]) -> Chart:
    """Lay out a curve over rounds.

    Args:
        name: what is drawn.
        points: at least two of (round, value), rounds growing, all finite.
    """
    rounds, values = [x for x, _ in points], [y for _, y in points]
    steps = nice_steps(min(values), max(values))
    low, high = steps[0], steps[-1]
    first, last = rounds[0], rounds[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / ((last - first) or 1.0)
        up = (y - low) / (high - low)
        return (
            round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1),
        )

    pixels = [place(x, y) for x, y in points]
    path = "M" + " L".join(f"{x} {y}" for x, y in pixels)
    digits = max(0, -math.floor(math.log10(steps[1] - steps[0])))
    return Chart(
        name=name,
        path=path,
        last=pixels[-1],
        value=values[-1],
        across=tuple(Tick(place(x, low)[0], f"{x:g}") for x in dict.fromkeys((first, last))),
        up=tuple(Tick(place(first, y)[1], f"{y:.{digits}f}") for y in steps),
    )


def nice_steps(low: float, high: float, count: int = 4) -> list[float]:
    """Return at least two round values that span the interval, about `count` apart steps."""
    size = max(abs(low), abs(high), 1.0)
    span = high - low if high - low > 1e-9 * size else 0.1 * size  # else ticks would look the same
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m * count >= span)
    start = math.floor(low / step + 1e-9)
    end = max(start + 1, math.ceil(high / step - 1e-9))
    return [round(i * step, 12) for i in range(start, end + 1)]
