"""Shares of a job's revenue, and amounts: whole numbers and fractions only, exact to the unit.

A measure gives each party its part of the measure's sum; the agreement's weights mix the measures
that have a sum at all; a floor comes off the top. Negative scores count as 0. Shares are basis
points, 10,000 in sum: rounded down, and what is left over goes to the rounding member. An amount is
shared as ⌊amount · share / 10,000⌋, and what is left over goes to the rounding member: the rule by
which a place splits it (`engines.anchors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from secureflow.engines.anchors.entries import WHOLE
from secureflow.engines.revenue.agreement import MAX_QUALITY, Agreement


@dataclass(frozen=True)
class Measured:
    """What a verified record says of one party of a job.

    Args:
        score, low, high, share: in steps of 10⁻⁴, as the enclave signed them; None without scores.
        rows: that the party signed with its updates, the most of any; 0 where they are hidden.
        steps: rounds and stages of which the party signed an update; 1 for one that signed its
            end of a job without any.
    """

    score: int | None
    low: int | None
    high: int | None
    share: int | None
    rows: int
    steps: int

    def json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return dict(vars(self))


def weighed(
    agreement: Agreement, measured: Mapping[str, Measured]
) -> dict[str, tuple[int, dict[str, int]]]:
    """Return each measure that counts: its weight, and each party's part of it as a whole number.

    A measure in which nobody has anything, or that the job has not, does not count.
    """
    quality = {one.organisation: one.quality for one in agreement.members}
    weights = agreement.weights
    counted = {
        "scores": (
            weights.scores,
            {name: max(one.score or 0, 0) for name, one in measured.items()},
        ),
        "rows": (
            weights.rows,
            {name: one.rows * quality.get(name, MAX_QUALITY) for name, one in measured.items()},
        ),
        "participation": (
            weights.participation,
            {name: one.steps for name, one in measured.items()},
        ),
    }
    return {name: one for name, one in counted.items() if one[0] and sum(one[1].values())}


def shares_of(agreement: Agreement, measured: Mapping[str, Measured]) -> dict[str, int]:
    """Return the basis points of each member of a job, 10,000 in sum.

    The rounding member is among them, with nothing but the rest if it is no party of the job.

    Args:
        agreement: whose members the parties are.
        measured: party → what counts; at least one.
    """
    counted = weighed(agreement, measured)
    equal = Fraction(1, len(measured))
    total = sum(weight for weight, _ in counted.values())
    if agreement.unscored == "equal" and _lacks_scores(agreement, measured):
        total = 0
    rest = WHOLE - agreement.floor * len(measured)
    shares = {}
    for name in sorted(measured):
        part = equal
        if total:
            parts = (
                Fraction(weight * own[name], total * sum(own.values()))
                for weight, own in counted.values()
            )
            part = sum(parts, Fraction(0))
        shares[name] = agreement.floor + int(rest * part)
    shares.setdefault(agreement.rounding, 0)
    shares[agreement.rounding] += WHOLE - sum(shares.values())
    return shares


def amounts_of(amount: int, shares: Mapping[str, int], rounding: str) -> dict[str, int]:
    """Return the minor units of each member, `amount` in sum."""
    found = {name: amount * share // WHOLE for name, share in shares.items()}
    found[rounding] += amount - sum(found.values())
    return found


def portions(amount: int, count: int) -> list[int]:
    """Return an amount in so many equal parts; what is left over goes to the first one."""
    whole = amount // count
    return [amount - whole * (count - 1), *[whole] * (count - 1)]


def _lacks_scores(agreement: Agreement, measured: Mapping[str, Measured]) -> bool:
    wanted = agreement.weights.scores > 0
    return wanted and any(one.score is None for one in measured.values())
