"""The spec of a statistics job: what is asked, on which declared columns, with how much noise.

An analyst chooses queries and how much ε they may cost. Everything that bounds what one unit can
change stands in the spec because the *owners* declared it: `columns` (bounds, categories) and
`contributions` (rows of one unit) are the widest of what their dataset descriptions say, filled in
by the centre and compared by each agent with its own configuration, which it enforces on its rows.

Every released number is a sum over rows on an integer lattice; the parties' sums are added up under
masks, so that one noise hides a unit in the total (`engines.statistics`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.budgets import PrivacyUnit
from secureflow.domain.specs import STRICT, Category, Column, Contributor, Id, Slug, Unit

Measure = Literal["count", "sum", "mean", "variance", "quantile", "histogram"]
Sharing = Literal["shared", "party", "local"]


@dataclass(frozen=True)
class StatisticsColumn:
    """A column as its owners declared it: the hull of their bounds, all of their categories."""

    __pydantic_config__ = STRICT
    column: Column
    type: Literal["number", "category"]
    bounds: tuple[float, float] | None = None
    categories: Annotated[tuple[Category, ...], Field(max_length=4096)] = ()


@dataclass(frozen=True)
class StatisticsQuery:
    """One question.

    Args:
        name: the key of its answer in the report.
        measure: `count` (of rows), `sum`, `mean`, `variance`, `quantile` and `histogram` (of a
            number, over `bins` equal cells of its bounds; of a category, over its categories).
        column: what is measured; only `count` needs none.
        by: a category column; the measure is told for each of its categories.
        bins: cells of a histogram or of the grid on which quantiles are looked for.
        quantiles: which quantiles, each in [0, 1].
    """

    __pydantic_config__ = STRICT
    name: Slug
    measure: Measure
    column: Column | None = None
    by: Column | None = None
    bins: Annotated[int, Field(ge=2, le=4096)] = 64
    quantiles: Annotated[tuple[Unit, ...], Field(max_length=99)] = ()


@dataclass(frozen=True)
class StatisticsPrivacy:
    """How the answers are made differentially private.

    Args:
        delta: δ of the whole job.
        noise: `shared`: each party adds σ/√(t−c), so that what honest parties add makes up σ on
            the total; `party`: each party adds the whole noise to its own sum; `local`: each
            *value* is randomised before it is summed (local differential privacy).
        mechanism: `gaussian` (discrete), or `laplace` where a party or a value carries it alone.
        library: what computes and noises a party's sums.
        unit: whose presence is hidden.
        noise_multiplier: z, of each query: σ (Laplace: scale) over the query's sensitivity. Left
            out in a wish, it is calibrated from `epsilon`; a signed spec has it.
        epsilon: the most that the whole job may cost, by `rdp-cks20` at `delta`.
    """

    __pydantic_config__ = STRICT
    delta: Annotated[float, Field(ge=1e-15, le=1e-2)]
    noise: Sharing = "shared"
    mechanism: Literal["gaussian", "laplace"] = "gaussian"
    library: Literal["opendp", "pydp"] = "opendp"
    unit: PrivacyUnit = "record"
    noise_multiplier: Annotated[float, Field(ge=0.1, le=1e6)] | None = None
    epsilon: Annotated[float, Field(ge=1e-3, le=100.0)] | None = None

    @property
    def multiplier(self) -> float:
        """Return z of a checked spec."""
        if self.noise_multiplier is None:
            raise AssertionError  # `check` refuses such a spec
        return self.noise_multiplier


@dataclass(frozen=True)
class StatisticsLimits:
    """Seconds without progress after which a party counts as silent."""

    __pydantic_config__ = STRICT
    patience_seconds: Annotated[float, Field(gt=0.0, le=86_400.0)] = 60.0


@dataclass(frozen=True)
class StatisticsSpec:
    """A statistics job as every contributor signs it."""

    __pydantic_config__ = STRICT
    project: Id
    name: Annotated[str, Field(min_length=1, max_length=200)]
    purpose: Annotated[str, Field(min_length=1, max_length=200)]
    submitter: Annotated[str, Field(max_length=128)]
    roster: Annotated[tuple[Contributor, ...], Field(min_length=1, max_length=256)]
    columns: Annotated[tuple[StatisticsColumn, ...], Field(max_length=4096)]
    queries: Annotated[tuple[StatisticsQuery, ...], Field(min_length=1, max_length=256)]
    privacy: StatisticsPrivacy
    contributions: Annotated[int, Field(ge=1, le=10_000)] = 1
    limits: StatisticsLimits = field(default_factory=StatisticsLimits)
    min_contributors: Annotated[int, Field(ge=3, le=256)] = 3
    protection: Literal["secagg"] = "secagg"
    kind: Literal["statistics"] = "statistics"
    script: Literal["statistics/1"] = "statistics/1"
    v: Literal[1] = 1

    @property
    def parties(self) -> tuple[str, ...]:
        """The roster's party names in spec order."""
        return tuple(c.party for c in self.roster)

    @property
    def keys(self) -> dict[str, str]:
        """Party name to base64 signing key."""
        return {c.party: c.key for c in self.roster}

    @property
    def masked(self) -> bool:
        """The parties' sums are always masked."""
        return True

    @property
    def sealed(self) -> bool:
        """No enclave takes part."""
        return False
