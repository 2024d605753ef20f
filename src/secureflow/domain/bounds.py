"""Bounds of a number column: which are valid, and how a job's compare with the owner's.

A job's bounds decide how much one value weighs. They are compared with the owner's declaration, in
training and in statistics alike:

| a job's bounds …                            | with a privacy part   | without |
|---------------------------------------------|-----------------------|---------|
| are the owner's                             | accepted              | accepted |
| hold the owner's, up to 1,000 times as wide | accepted, shown       | accepted, shown |
| do not hold the owner's                     | `bounds_too_narrow`   | accepted, shown |
| are wider than that                         | `bounds_too_wide`     | accepted, shown |
| of a column without declared bounds         | `bounds_undeclared`   | accepted, shown |

*Shown*: in the dry run, and to the owner's policy and people. Under differential privacy, bounds
chosen by someone else could be an attack: so narrow, or so wide, that the floating-point effect of
a single value is visible beyond the noise.
"""

from __future__ import annotations

import math
from typing import Final, Literal

from secureflow.kit.text import Text

Bounds = tuple[float, float]
Verdict = Literal["same", "wider", "narrower", "too_wide", "undeclared"]

MAX_BOUND: Final = 1e100
"""Bounds up to this have a finite square, and a sufficiently exact midpoint and half-range."""
LEAST_WIDTH: Final = 1e-9
"""Least width, relative to the larger magnitude: some millions of float64 values apart."""
MAX_WIDENING: Final = 1000.0
"""How many times as wide as the owner's bounds a private job's may be."""
REFUSED: Final[dict[Verdict, str]] = {
    "narrower": "bounds_too_narrow",
    "too_wide": "bounds_too_wide",
    "undeclared": "bounds_undeclared",
}
"""Codes with which a job with a privacy part is refused."""
_SLACK: Final = 1.0 + 1e-9


def bounds_problem(bounds: Bounds) -> str:
    """Return why numbers cannot be scaled to the bounds, or ""."""
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high)):
        return "a bound is not finite"
    if low >= high:
        return "the lower bound is not below the upper"
    largest = max(abs(low), abs(high))
    if largest > MAX_BOUND:
        return Text("a bound is beyond ±{max_bound:g}", max_bound=MAX_BOUND)
    if high - low < max(largest * LEAST_WIDTH, 1 / MAX_BOUND):
        return "the bounds are so close that float64 can hardly distinguish the values between them"
    return ""


def compare(own: Bounds | None, asked: Bounds) -> Verdict:
    """Return how a job's bounds compare with those that the owner declared (None: not declared)."""
    if own is None:
        return "undeclared"
    if not (asked[0] <= own[0] and own[1] <= asked[1]):
        return "narrower"
    if asked[1] - asked[0] > (own[1] - own[0]) * MAX_WIDENING * _SLACK:
        return "too_wide"
    return "same" if asked == own else "wider"


def difference(column: str, own: Bounds | None, asked: Bounds) -> str:
    """Return a text with the owner's bounds and the job's if they differ, else ""."""
    if compare(own, asked) == "same":
        return ""
    return f"{column}: {'–' if own is None else interval(own)} → {interval(asked)}"


def refusal(own: Bounds | None, asked: Bounds) -> tuple[str, str]:
    """Return code and reason for which a private job is refused, or ("", "")."""
    verdict = compare(own, asked)
    code = REFUSED.get(verdict, "")
    if own is None:
        return code, "has no declared bounds, and the job needs them"
    reasons = {
        "narrower": Text(
            "has the bounds {own}, which are not within the job's {asked}",
            own=interval(own),
            asked=interval(asked),
        ),
        "too_wide": Text(
            "has the bounds {own}; the job's {asked} are more than {times:,.0f} times as wide",
            own=interval(own),
            asked=interval(asked),
            times=MAX_WIDENING,
        ),
    }
    return code, reasons.get(verdict, "")


def interval(bounds: Bounds) -> str:
    """Format bounds for people, with every digit."""
    return f"[{_number(bounds[0])}, {_number(bounds[1])}]"


def _number(value: float) -> str:
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
