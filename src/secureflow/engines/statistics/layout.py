"""Where a query's numbers stand in the masked vector, and how much noise each carries.

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

Where a party cannot choose which unit has how many rows, its owner's bound does (`own`).

*Local* noise is on each value before it is summed, hence of another kind: a value may be replaced
by any other, so the width counts twice (`value_width`), and a cell is answered by k-ary randomised
response (`truth`). Counts of rows are exact there: that number is not hidden.
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
"""Steps of a value at its bound, and of one row in a count."""
LIMIT: Final = 1 << 50
"""No party's number exceeds this: a thousand million rows, or 500 σ of the widest noise allowed."""
ANSWERED: Final = frozenset({"count", "histogram", "quantile"})
"""Measures of which of a few things a value is: under `local` it is answered at random."""
_SLACK: Final = 1.0 + 2.0**-20
"""What discrete Laplace noise costs more than continuous (below 1e-9) and libraries round off."""


@dataclass(frozen=True)
class QueryLayout:
    """One query's slots.

    Args:
        query: what is asked.
        first: its first slot in the job's vector.
        slots: how many it has, over all groups.
        groups: the categories that it is told apart by.
        cells: of a histogram or quantile, else 0.
        widths: of a quantile: cells under a node, for each level of the tree.
        m: how many slots a row adds to.
        contributions: k, rows of one unit.
        privacy: the job's.
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
        """The slots of one group."""
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
        """The whole noise in steps: σ (Laplace: its scale b), where it is added to sums."""
        if self.privacy.mechanism == "laplace":
            return self.privacy.multiplier * self.l1 * _SLACK
        return self.privacy.multiplier * self.l2 * _SLACK

    def share(self, honest: int) -> float:
        """Return one party's part of `scale`.

        Args:
            honest: t − c, where the noise is shared: colluders know their own share and those who
                drop out bring none, so t − c shares make up the whole. Elsewhere it is not used.
        """
        if self.privacy.noise == "shared":
            return self.scale / math.sqrt(honest)
        return self.scale

    @property
    def answered(self) -> bool:
        """Whether each value is answered by randomised response, where noise is local."""
        return self.privacy.noise == "local" and self.query.measure in ANSWERED

    @property
    def value_width(self) -> int:
        """How far one value moves what is noised of it, in steps, when it is replaced (`local`).

        u moves by 2 at most. With 2u² − 1 beside it both move by |u − v|·(1 + 2·|u + v|) together,
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
        """What a value is one of, where it is answered by randomised response; else 0."""
        if self.query.measure == "count":
            return len(self.groups)
        return self.cells

    @property
    def truth(self) -> float:
        """The probability of the true answer (`local`): e^ε / (e^ε + choices − 1), ε = 1 / z.

        It is rounded down a little: the library's own account must not exceed ε.
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
    """Return the edges of equal cells, of shape (cells + 1,): those that an answer names.

    As in `numpy.histogram` a cell holds what is not below its own edge and below the next; the last
    one holds its upper edge too.
    """
    return np.linspace(low, high, cells + 1)


def slots(spec: StatisticsSpec) -> int:
    """Return the length of the job's vector."""
    return sum(slots_of(spec, query) for query in spec.queries)
