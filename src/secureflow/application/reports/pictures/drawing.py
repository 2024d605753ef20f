"""A chart as inline SVG: axes, curves, bars and points in the colours of the page.

Everything that is drawn is escaped. Texts stand in both languages; CSS shows one. Positions are
rounded to tenths of a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from secureflow.application.reports.charts import ChartFrame, nice_steps
from secureflow.application.reports.wording import both
from secureflow.texts import chinese

FRAME: Final = ChartFrame(width=320.0, height=250.0, left=46.0, right=12.0, top=12.0, bottom=42.0)
SERIES: Final = 8
"""Colours of curves in one chart: the classes s0 to s7 of the page."""


@dataclass(frozen=True)
class Axis:
    """A range and its ticks.

    Args:
        low: the number at its start.
        high: at its end, above `low`.
        ticks: numbers in it, with their texts.
        name: what it is of, English.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    name: str = ""


def shares(name: str = "") -> Axis:
    """Return an axis from 0 to 1."""
    return Axis(0.0, 1.0, tuple((tick, f"{tick:g}") for tick in (0, 0.25, 0.5, 0.75, 1)), name)


def numbers(low: float, high: float, name: str = "") -> Axis:
    """Return an axis with round ticks that holds two numbers."""
    steps = nice_steps(low, high)
    return Axis(steps[0], steps[-1], tuple((step, f"{step:.6g}") for step in steps), name)


def within(low: float, high: float) -> Axis:
    """Return an axis from one number to another, above it, with up to five round ticks."""
    steps = [step for step in nice_steps(low, high, 3) if low <= step <= high]
    return Axis(low, high, tuple((step, f"{step:.6g}") for step in steps))


class Drawing:
    """A chart that is being drawn.

    Args:
        across: the axis from left to right.
        up: the axis from bottom to top.
    """

    def __init__(self, across: Axis, up: Axis) -> None:
        self._across, self._up = across, up
        self._parts: list[Markup] = []
        self._axes()

    def curve(self, points: Sequence[tuple[float, float]], css: str = "s0") -> None:
        """Draw a line through points."""
        if points:
            path = "M" + " L".join("{} {}".format(*self._place(x, y)) for x, y in points)
            self._parts.append(Markup('<path class="line {}" d="{}"/>').format(css, path))

    def point(self, x: float, y: float, told: str, css: str = "s0") -> None:
        """Draw a point; `told` is shown where the pointer rests on it."""
        across, up = self._place(x, y)
        self._parts.append(
            Markup('<circle class="dot {}" cx="{}" cy="{}" r="3.5"><title>{}</title></circle>')
            .format(css, across, up, told)
        )  # fmt: skip

    def bar(self, left: float, right: float, height: float, told: str, css: str = "s0") -> None:
        """Draw a bar from 0 (or the axis' end) to a height."""
        start, top = self._place(left, height)
        end, bottom = self._place(right, max(0.0, self._up.low))
        top, bottom = min(top, bottom), max(top, bottom)
        width = max(round(end - start - 1, 1), 0.5)
        self._parts.append(
            Markup(
                '<rect class="bar {}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>'
            ).format(css, start, top, width, round(bottom - top, 1), told)
        )

    def rule(
        self, start: tuple[float, float], end: tuple[float, float], css: str = "guide"
    ) -> None:
        """Draw a straight line."""
        first, last = self._place(*start), self._place(*end)
        self._parts.append(
            Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(css, *first, *last)
        )

    def figure(self, caption: str, key: str, told: str = "", legend: Sequence[str] = ()) -> Markup:
        """Return the chart with its caption.

        Args:
            caption: English.
            key: an id that is unique on the page.
            told: a number beside the caption.
            legend: names of series s0, s1, … in both languages if the catalogue has them.
        """
        entries = Markup("").join(
            Markup('<span class="key s{}"></span> {} ').format(at, both(name))
            for at, name in enumerate(legend)
        )
        return Markup(
            '<figure><figcaption id="{}">{} <b>{}</b>{}</figcaption>'
            '<svg viewBox="0 0 {:g} {:g}" role="img" aria-labelledby="{}">{}</svg></figure>'
        ).format(
            key, both(caption), told, Markup("<br/>{}").format(entries) if entries else "",
            FRAME.width, FRAME.height, key, Markup("").join(self._parts),
        )  # fmt: skip

    def _place(self, x: float, y: float) -> tuple[float, float]:
        return (
            round(FRAME.left + _part(x, self._across) * _WIDE, 1),
            round(FRAME.height - FRAME.bottom - _part(y, self._up) * _HIGH, 1),
        )

    def _axes(self) -> None:
        for value, text in self._up.ticks:
            _, y = self._place(self._across.low, value)
            self._parts.append(
                Markup(
                    '<line class="grid" x1="{:g}" x2="{:g}" y1="{}" y2="{}"/>'
                    '<text x="{:g}" y="{:.1f}" text-anchor="end">{}</text>'
                ).format(FRAME.left, FRAME.width - FRAME.right, y, y, FRAME.left - 6, y + 4, text)
            )
        under = FRAME.height - FRAME.bottom + 15
        for value, text in self._across.ticks:
            x, _ = self._place(value, self._up.low)
            self._parts.append(
                Markup('<text x="{}" y="{:g}" text-anchor="middle">{}</text>').format(
                    x, under, text
                )
            )
        if self._across.name:
            self._parts.append(_named(self._across.name, FRAME.height - 8))


_WIDE: Final = FRAME.width - FRAME.left - FRAME.right
_HIGH: Final = FRAME.height - FRAME.top - FRAME.bottom


def _part(value: float, axis: Axis) -> float:
    return min(max((value - axis.low) / (axis.high - axis.low), 0.0), 1.0)


def _named(name: str, y: float) -> Markup:
    """Return the name of the axis across, once in each language."""
    x = FRAME.left + _WIDE / 2
    told = chinese(name)
    if told is None:
        return _TITLE.format(Markup(), x, y, name)
    return _TITLE.format(_ENGLISH, x, y, name) + _TITLE.format(_CHINESE, x, y, told)


_TITLE: Final = Markup('<text{} x="{:g}" y="{:g}" text-anchor="middle">{}</text>')
_ENGLISH: Final = Markup(' class="en"')
_CHINESE: Final = Markup(' class="zh" lang="zh"')


def odds_axis(low: float, high: float, name: str) -> Axis:
    """Return an axis of log-odds whose ticks are probabilities, not too close to one another.

    Args:
        low: a log-odds.
        high: another, not below.
        name: what the probability is of.
    """
    low, high = low - 0.2, high + 0.2
    ticks: list[tuple[float, str]] = []
    for share in (0.5, 0.1, 0.9, 0.01, 0.99, 0.25, 0.75, 0.05, 0.95, 0.001, 0.999):
        at = math.log(share / (1 - share))
        far = all(abs(at - other) > 0.12 * (high - low) for other, _ in ticks)
        if low <= at <= high and far:
            ticks.append((at, f"{share:g}"))
    if not ticks:
        middle = max((low + high) / 2, -700.0)
        ticks.append((middle, f"{1 / (1 + math.exp(-middle)):.2g}"))
    return Axis(low, high, tuple(ticks), name)
