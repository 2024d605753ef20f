"""Shared by both libraries: a job's vector is filled query by query, slot by slot."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.quorum import honest_of as certain
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.summed import LIMIT
from secureflow.engines.preparation import Columns
from secureflow.engines.statistics.declared import OwnBounds
from secureflow.engines.statistics.layout import QueryLayout, slots
from secureflow.engines.statistics.rows import Integers, Part, parts
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Fill = Callable[[QueryLayout, tuple[Part, ...]], Integers]


def fill(
    spec: StatisticsSpec,
    own: OwnBounds,
    columns: Columns,
    units: NDArray[Any] | None,
    honest: int,
    noised: Fill,
) -> Integers:
    """Return the job's vector, each query's slots from `noised`.

    Raises:
        SecureFlowError: `statistics_refused` if the noise would be shared among more than the
            roster's t − c; those of `parts`.
    """
    require(
        1 <= honest <= certain(len(spec.roster)),
        ("the noise would be split into more shares than are certain to be in the sum"),
    )
    vector = np.zeros(slots(spec), np.int64)
    # A fresh key: which of a unit's rows count is as unpredictable as the noise.
    for place, query_parts in parts(spec, own, columns, units, secrets.token_bytes(32)):
        vector[place.slice] = np.clip(noised(place, query_parts), -LIMIT, LIMIT)
    return vector


def by_slot(place: QueryLayout, query_parts: tuple[Part, ...]) -> Iterator[tuple[int, Integers]]:
    """Yield each slot of the query that rows contribute to, and their numbers."""
    for part in query_parts:
        order = np.argsort(part.slots, kind="stable")
        found, starts = np.unique(part.slots[order], return_index=True)
        groups = np.split(part.numbers[order], starts[1:]) if len(found) else []
        for slot, numbers in zip(found.tolist(), groups, strict=True):
            yield slot - place.first, numbers


def require(within: bool, what: str) -> None:
    """Refuse to continue if the library's own accounting exceeds the spec's.

    Raises:
        SecureFlowError: `statistics_refused`.
    """
    if not within:
        raise SecureFlowError(
            "statistics_refused",
            Text("The library accounts for more than the job's charge: {what}.", what=what),
            "Nothing was released. Use the library's version that this release was tested with.",
        )
