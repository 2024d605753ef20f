"""Where the numbers of each query lie in the vector of `joint-sums`, and the noise on them.

Group after group, key after key, each with its numbers (`domain.specs.jointsums.each_of`); behind
those of an exact query one more, the rows that were left out. Exact numbers are steps of the last
decimal; a product is kept as `high · 2^SPLIT + low`, of which neither part exceeds what a masked
number may be (`MOST`) while the product is below 2^100. Where the magnitudes of a column add up to
2^50 at most, so far does no sum of products go: Σ|x·y| ≤ Σ|x| · Σ|y|.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from secureflow.domain.specs.jointsums import (
    SumsQuery,
    deviation_of,
    each_of,
    groups_of,
    moved_by,
    numbers_of,
)
from secureflow.domain.specs.measuredcolumn import MeasuredColumn
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.domain.specs.summed import noised_unit

SPLIT: Final = 50
"""Bits of the lower part of a sum of products: of 256 parties they add up to 2^58 at most."""


@dataclass(frozen=True)
class Place:
    """One query's numbers.

    Args:
        query: the query.
        measured: the columns that it measures, as declared.
        decimals: of each of these.
        groups: by which it is told; one empty one without any.
        first: its first number in the vector.
        each: numbers of a group or key.
        length: all of its numbers.
        unit: steps of a row that adds 1: 1 without noise.
        sigma: of the whole noise on each, in steps; 0 without.
    """

    query: SumsQuery
    measured: tuple[MeasuredColumn, ...]
    decimals: tuple[int, ...]
    groups: tuple[str, ...]
    first: int
    each: int
    length: int
    unit: int
    sigma: float

    @property
    def private(self) -> bool:
        """Whether it is noised."""
        return self.sigma > 0

    @property
    def slice(self) -> slice:
        """Its numbers in the vector."""
        return slice(self.first, self.first + self.length)

    @property
    def count(self) -> int:
        """How many groups or keys it has."""
        return self.query.keys.count if self.query.keys else len(self.groups)


def places(spec: MpcSpec) -> tuple[Place, ...]:
    """Return the places of all queries, in the order of the spec."""
    found, first = [], 0
    columns, private = spec.columns, spec.privacy is not None
    declared = {one.column: one for one in columns}
    for query in spec.sums.queries:
        length = numbers_of(query, columns, private=private)
        unit, sigma = 1, 0.0
        if spec.privacy is not None:
            moved = moved_by(query, columns)
            deviation = deviation_of(spec.privacy.multiplier, spec.contributions, moved)
            unit = noised_unit(deviation)
            sigma = deviation * unit
        found.append(
            Place(
                query=query,
                measured=tuple(declared[name] for name in query.columns),
                decimals=tuple(spec.sums.decimals_of(name) for name in query.columns),
                groups=groups_of(query, columns),
                first=first,
                each=each_of(query, columns, private=private),
                length=length,
                unit=unit,
                sigma=sigma,
            )
        )
        first += length
    return tuple(found)


def length_of(spec: MpcSpec) -> int:
    """Return the length of the vector."""
    private = spec.privacy is not None
    return sum(numbers_of(one, spec.columns, private=private) for one in spec.sums.queries)
