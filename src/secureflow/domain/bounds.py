"""Bounds of a number column: which are sane, and how a job's compare with their owner's.

A job's bounds decide how much one value weighs. Its owner's declaration is what they are measured
by, in training and statistics alike:

| a job's bounds …                            | with a privacy part   | without |
|---------------------------------------------|-----------------------|---------|
| are the owner's                             | accepted              | accepted |
| hold the owner's, up to 1,000 times as wide | accepted, told        | accepted, told |
| do not hold the owner's                     | `bounds_too_narrow`   | accepted, told |
| are wider than that                         | `bounds_too_wide`     | accepted, told |
| of a column without declared bounds         | `bounds_undeclared`   | accepted, told |

*Told*: in the dry run, and in what the owner's policy and people decide on. Under differential
privacy bounds that somebody else chooses would be an instrument: so narrow, or so wide, that what a
single value does in floating point shows beyond the noise.
"""

from __future__ import annotations

import math
from typing import Final, Literal

from secureflow.kit.text import Text

Bounds = tuple[float, float]
Verdict = Literal["same", "wider", "narrower", "too_wide", "undeclared"]

MAX_BOUND: Final = 1e100
"""Bounds up to this have a square that is finite, and a middle and a half-range that are exact
enough."""
LEAST_WIDTH: Final = 1e-9
"""Least width, over the larger magnitude of the two: some millions of float64 lie between them."""
MAX_WIDENING: Final = 1000.0
"""How many times as wide as the owner's a private job's bounds may be."""
REFUSED: Final[dict[Verdict, str]] = {
    "narrower": "bounds_too_narrow",
    "too_wide": "bounds_too_wide",
    "undeclared": "bounds_undeclared",
}
"""What a job with a privacy part is refused with."""
_SLACK: Final = 1.0 + 1e-9


def bounds_problem(bounds: Bounds) -> str:
    """Return why no number can be scaled to the bounds, or nothing."""
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
    """Return how a job's bounds stand to those that the owner declared (None: it declared none)."""
    if own is None:
        return "undeclared"
    if not (asked[0] <= own[0] and own[1] <= asked[1]):
        return "narrower"
    if asked[1] - asked[0] > (own[1] - own[0]) * MAX_WIDENING * _SLACK:
        return "too_wide"
    return "same" if asked == own else "wider"


def difference(column: str, own: Bounds | None, asked: Bounds) -> str:
    """Return the owner's bounds of a column and the job's where they differ, else ""."""
    if compare(own, asked) == "same":
        return ""
    return f"{column}: {'–' if own is None else interval(own)} → {interval(asked)}"


def refusal(own: Bounds | None, asked: Bounds) -> tuple[str, str]:
    """Return code and reason for which a private job is refused; ("", "") where it is not."""
    verdict = compare(own, asked)
    code = REFUSED.get(verdict, "")
    if own is None:
        return code, "has no declared bounds, and noise needs them"
    reasons = {
        "narrower": Text(
            "has the bounds {own}, which do not lie within the job's {asked}",
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
    """Return bounds as people read them, every digit of them."""
    return f"[{_number(bounds[0])}, {_number(bounds[1])}]"


def _number(value: float) -> str:
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
