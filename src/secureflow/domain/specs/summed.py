"""What kinds of job that only add numbers up have in common: their noise, and their patience."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol

from pydantic import Field

from secureflow.domain.budgets import PrivacyUnit
from secureflow.domain.specs.base import STRICT, Category, Column, Problem
from secureflow.kit.text import Text

LIMIT: Final = 1 << 50
"""The largest magnitude of a party's number, in steps of the lattice."""
UNIT: Final = 1 << 24
"""Steps of one row that adds 1, without privacy: a quantum of 6e-8."""
MOST_ROWS: Final = LIMIT // UNIT
"""Most rows of a party, 67 million: what they add to one number stays within the limit."""
LEAST_ROWS: Final = 10
"""Fewest rows of which a party's own figures are told, without privacy."""
_SIGMA: Final = 1 << 13
"""Steps that a party's noise has at most, so that the lattice is finer than what it hides."""
MAX_NOISE: Final = 1000.0
"""The largest noise multiplier times contributions."""
MAX_DEVIATION: Final = float(1 << 17)
"""The largest σ that noise can be drawn with (`engines.privacy.gaussian`)."""


@dataclass(frozen=True)
class SummedColumn:
    """A column as its owners declared it: the hull of their bounds, all of their categories."""

    __pydantic_config__ = STRICT
    column: Column
    type: Literal["number", "category"]
    bounds: tuple[float, float] | None = None
    categories: Annotated[tuple[Category, ...], Field(max_length=4096)] = ()


@dataclass(frozen=True)
class SummedPrivacy:
    """How a job's sums are made differentially private.

    Args:
        delta: δ of the whole job.
        unit: whose presence is hidden: a record, or a person of up to `contributions` rows.
        noise: `shared`: each party adds σ/√(t−c), so that honest parties add up to σ on the total.
        noise_multiplier: z of each release: σ over what one unit can move its numbers by.
        epsilon: upper bound on the cost of the whole job, by `rdp-cks20` at `delta`.
    """

    __pydantic_config__ = STRICT
    delta: Annotated[float, Field(ge=1e-15, le=1e-2)]
    unit: PrivacyUnit = "record"
    noise: Literal["shared"] = "shared"
    noise_multiplier: Annotated[float, Field(ge=0.1, le=1e6)] | None = None
    epsilon: Annotated[float, Field(ge=1e-3, le=100.0)] | None = None

    @property
    def multiplier(self) -> float:
        """Return z of a checked spec."""
        if self.noise_multiplier is None:
            raise AssertionError  # `summed_problem` refuses such a spec
        return self.noise_multiplier


@dataclass(frozen=True)
class SummedNoise:
    """The part of `SummedPrivacy` that is chosen; the centre adds the owners' unit.

    Without a `noise_multiplier` it is calibrated from `epsilon`.
    """

    __pydantic_config__ = STRICT
    delta: Annotated[float, Field(ge=1e-15, le=1e-2)]
    noise_multiplier: Annotated[float, Field(ge=0.1, le=1e6)] | None = None
    epsilon: Annotated[float, Field(ge=1e-3, le=100.0)] | None = None


@dataclass(frozen=True)
class SummedLimits:
    """Seconds without progress after which a party counts as silent."""

    __pydantic_config__ = STRICT
    patience_seconds: Annotated[float, Field(gt=0.0, le=86_400.0)] = 60.0


class Summed(Protocol):
    """A spec whose sums may be noised."""

    @property
    def privacy(self) -> SummedPrivacy | None:
        """The noise, if there is any."""

    @property
    def contributions(self) -> int:
        """Most rows of one unit that count."""


def noised_unit(deviation: float) -> int:
    """Return the steps of a row that adds 1 under noise: a power of two, at most `UNIT`.

    Args:
        deviation: σ of the noise on a total, in what such rows add.
    """
    return 1 << min(max(math.floor(math.log2(_SIGMA / deviation)), 0), 24)


def summed_problem(spec: Summed, moved: int) -> Problem | None:
    """Return a contradiction between the noise, its unit and the rows that count, or None.

    Args:
        spec: the job's.
        moved: how many numbers of one release a row may move.
    """
    privacy = spec.privacy
    if privacy is None:
        once = spec.contributions == 1
        reason: str = "without privacy every row counts"
        return None if once else ("contributions", reason, "Leave it out.")
    if privacy.unit == "party":
        reason = "a sum hides a record, or a person of several rows, not a whole party"
        return "privacy.unit", reason, 'Use "record" or "person".'
    if privacy.unit == "record" and spec.contributions > 1:
        reason = "a record is one row"
        return "contributions", reason, 'Set it to 1, or privacy.unit to "person".'
    if privacy.noise_multiplier is None:
        reason = "it is neither given nor calibrated from an epsilon"
        return "privacy.noise_multiplier", reason, "Give it, or give privacy.epsilon."
    drawn = MAX_DEVIATION / ((spec.contributions + 1) * math.sqrt(moved))
    most = min(MAX_NOISE / spec.contributions, drawn)
    if privacy.noise_multiplier > most:
        reason = Text(
            "above {most:g} (at {count} rows of a unit) only noise is left",
            most=most,
            count=spec.contributions,
        )
        return "privacy.noise_multiplier", reason, "Lower it, or release fewer numbers."
    return None
