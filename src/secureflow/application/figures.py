"""How figures are written for people: to the digits that they have, and noised ones as noised.

A figure under differential privacy carries noise of known size. It is told with the half-width of
the noise's 95 % interval, rounded to two digits of that, and a row count is a whole number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

HALF_WIDTH: Final = 1.959964
"""Standard errors of a normal distribution that 95 % lie within."""
_WHOLE: Final = frozenset({"rows"})


@dataclass(frozen=True)
class Told:
    """A metric as it is told: its name, its text, and whether noise is in it."""

    name: str
    text: str
    noised: bool


def figure(value: Any) -> str:
    """Write a number for people: up to four decimals, thousands grouped."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}"


def between(value: float, error: float, *, whole: bool = False) -> str:
    """Write `value ± half-width`, both to two digits of the half-width.

    Args:
        value: the noised number.
        error: the noise's standard error, above 0.
        whole: whether what it is on counts things.
    """
    half = HALF_WIDTH * error
    digits = 1 - math.floor(math.log10(half))
    digits = min(digits, 0 if whole else 6)
    shown = max(0, digits)
    return f"{round(value, digits):,.{shown}f} ± {round(half, digits):,.{shown}f}"


def metrics_told(report: Mapping[str, Any]) -> list[Told]:
    """Return the metrics of a report or a model card as people are told them.

    Both name the errors of noised metrics in `metrics_errors`. Without them (a job of an earlier
    version) its privacy part still says that there is noise.
    """
    errors = report.get("metrics_errors") or {}
    noised = bool(errors) or bool((report.get("privacy") or {}).get("metrics_noise"))
    told = []
    for name, value in (report.get("metrics") or {}).items():
        error = errors.get(name)
        if isinstance(error, int | float) and error > 0:
            text = between(value, error, whole=name in _WHOLE)
        elif name in _WHOLE:
            text = f"{round(value):,}"
        else:
            text = figure(value)
        told.append(Told(name, text, noised))
    return told
