"""The position of a query's numbers in the masked vector, and the noise on each.

Every row adds whole numbers of at most `UNIT` to some slots, so that sensitivities are exact:
values are clamped, scaled to [−1, 1] and rounded to `UNIT` steps *per row*. With k rows of a unit
(`contributions`), a row that adds up to `UNIT` to each of m slots moves the sums by at most
k·√m·UNIT (L2) and k·m·UNIT (L1):

| measure   | slots per group                                | m      | what a row adds          |
|-----------|------------------------------------------------|--------|--------------------------|
| count     | count                                          | 1      | UNIT                     |
| sum       | sum                                            | 1      | x / max(|low|, |high|)   |
| mean      | sum, count                                     | 2      | u, UNIT                  |
| variance  | sum, sum of squares, count                     | 3      | u, 2u² − 1, UNIT         |
| histogram | one per cell                                   | 1      | UNIT to its cell         |
| quantile  | the nodes of each level of a tree over cells   | levels | UNIT to a node per level |

with u = (x − middle) / half-range. A row is in one group, so `by` changes no bound. The squares
are shifted to use both signs: half the error at the same sensitivity.

If a party cannot control how many rows each unit has, its owner's bound does (`own`).

*Local* noise is added to each value before it is summed, and is of another kind: a value may be
replaced by any other, so the width counts twice (`value_width`), and a cell is answered by k-ary
randomised response (`truth`). Counts of rows are exact there: that number is not hidden.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.statistics import (
    StatisticsPrivacy,
    StatisticsQuery,
    StatisticsSpec,
    cells,
    groups,
    slots_of,
    tree,
)

UNIT: Final = 1 << 20
"""Steps of a value at its bound, and of one row in a count: the limit of any party's number is a
thousand million rows, or 500 σ of the widest noise allowed."""
ANSWERED: Final = frozenset({"count", "histogram", "quantile"})
"""Measures with a choice among a few values: under `local` it is answered at random."""
_SLACK: Final = 1.0 + 2.0**-20
"""Extra cost of discrete over continuous Laplace noise (below 1e-9), and rounding by libraries."""


@dataclass(frozen=True)
class QueryLayout:
    """One query's slots.

    Args:
        query: the query.
        first: its first slot in the job's vector.
        slots: the number of its slots, over all groups.
        groups: the categories by which it is grouped.
        cells: of a histogram or quantile, otherwise 0.
        widths: for a quantile: cells under a node, for each level of the tree.
        m: the number of slots to which a row adds.
        contributions: k, rows of one unit.
        privacy: the job's privacy part.
    """

    query: StatisticsQuery
    first: int
    slots: int
    groups: tuple[str, ...]
    cells: int
    widths: tuple[int, ...]
    m: int
    contributions: int
    privacy: StatisticsPrivacy

    @property
    def each(self) -> int:
        """The number of slots of one group."""
        return self.slots // len(self.groups)

    @property
    def slice(self) -> slice:
        """Its slots in the job's vector."""
        return slice(self.first, self.first + self.slots)

    @property
    def levels(self) -> tuple[int, ...]:
        """Nodes of each level of a quantile's tree, cells first."""
        return tuple(-(-self.cells // width) for width in self.widths)

    @property
    def l1(self) -> int:
        """How far one unit moves the query's sums, in steps, by the sum of magnitudes."""
        return self.contributions * self.m * UNIT

    @property
    def l2(self) -> float:
        """How far one unit moves the query's sums, in steps, by the root of squares."""
        return self.contributions * math.sqrt(self.m) * UNIT

    @property
    def scale(self) -> float:
        """The whole noise in steps: σ (Laplace: its scale b), if it is added to sums."""
        if self.privacy.mechanism == "laplace":
            return self.privacy.multiplier * self.l1 * _SLACK
        return self.privacy.multiplier * self.l2 * _SLACK

    def share(self, honest: int) -> float:
        """Return one party's part of `scale`.

        Args:
            honest: t − c, if the noise is shared: colluders know their own share and dropouts
                add none, so t − c shares make up the whole. Otherwise unused.
        """
        if self.privacy.noise == "shared":
            return self.scale / math.sqrt(honest)
        return self.scale

    @property
    def answered(self) -> bool:
        """Whether each value is answered by randomised response, under local noise."""
        return self.privacy.noise == "local" and self.query.measure in ANSWERED

    @property
    def value_width(self) -> int:
        """How far replacing one value moves its noised numbers, in steps (`local`).

        u moves by 2 at most. Together with 2u² − 1 it moves by |u − v|·(1 + 2·|u + v|),
        where |u − v| + |u + v| ≤ 2: at most 25/8, from u = 1 to v = −1/4. Rounding adds half a step
        to each of the four numbers. The count is exact.
        """
        if self.query.measure == "variance":
            return 25 * UNIT // 8 + 2
        return 2 * UNIT

    @property
    def value_scale(self) -> float:
        """The Laplace scale of one value's noise, in steps (`local`)."""
        return self.privacy.multiplier * self.value_width * _SLACK

    @property
    def choices(self) -> int:
        """The number of possible values under randomised response; otherwise 0."""
        if self.query.measure == "count":
            return len(self.groups)
        return self.cells

    @property
    def truth(self) -> float:
        """The probability of the true answer (`local`): e^ε / (e^ε + choices − 1), ε = 1 / z.

        It is rounded down slightly, so that the library's own account does not exceed ε.
        """
        odds = math.exp(-1.0 / (self.privacy.multiplier * _SLACK))
        return 1.0 / (1.0 + (self.choices - 1) * odds)


def layout(spec: StatisticsSpec) -> tuple[QueryLayout, ...]:
    """Return every query's slots, in the order of the spec."""
    found, first = [], 0
    for query in spec.queries:
        count = slots_of(spec, query)
        quantile = query.measure == "quantile"
        widths = tree(spec.privacy, query.bins) if quantile else ()
        parts = {"mean": 2, "variance": 3, "quantile": len(widths)}
        found.append(
            QueryLayout(
                query=query,
                first=first,
                slots=count,
                groups=groups(spec, query),
                cells=cells(spec, query) if quantile or query.measure == "histogram" else 0,
                widths=widths,
                m=parts.get(query.measure, 1),
                contributions=spec.contributions,
                privacy=spec.privacy,
            )
        )
        first += count
    return tuple(found)


def cell_edges(low: float, high: float, cells: int) -> NDArray[np.float64]:
    """Return the edges of equal cells, of shape (cells + 1,), which an answer names.

    As in `numpy.histogram`, a cell includes its lower edge but not the next one; only the last
    includes its upper edge as well.
    """
    return np.linspace(low, high, cells + 1)


def slots(spec: StatisticsSpec) -> int:
    """Return the length of the job's vector."""
    return sum(slots_of(spec, query) for query in spec.queries)
