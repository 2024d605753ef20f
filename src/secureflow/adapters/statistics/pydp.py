"""Statistics by PyDP (Google's C++ library): a clamped sum with Laplace noise for each slot.

Each slot is a separate `BoundedSum` with its part of ε: a row that contributes to m slots costs m
of them, so that a query's slots together cost 1 / z, as in the layout.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydp.algorithms.laplacian import BoundedSum

from secureflow.adapters.statistics.sums import by_slot, fill, require
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.preparation import Columns
from secureflow.engines.statistics.declared import OwnBounds
from secureflow.engines.statistics.layout import UNIT, QueryLayout
from secureflow.engines.statistics.rows import Integers, Part


class PyDpStatistician:
    """Sums and noises with PyDP; see the port `Statistician`."""

    def noised_sums(
        self,
        spec: StatisticsSpec,
        own: OwnBounds,
        columns: Columns,
        units: NDArray[Any] | None,
        honest: int,
    ) -> NDArray[np.int64]:
        """Return the party's vector, noise included (see the port)."""
        whole = (spec.privacy.noise, spec.privacy.mechanism) == ("party", "laplace")
        require(whole, "PyDP adds no other noise than a party's whole Laplace noise")
        return fill(spec, own, columns, units, honest, _noised)


def _noised(place: QueryLayout, query_parts: tuple[Part, ...]) -> Integers:
    epsilon = place.contributions * UNIT / place.scale
    require(epsilon * place.m <= 1 / place.privacy.multiplier, "the slots of one query")
    sums = [
        BoundedSum(
            epsilon=epsilon,
            lower_bound=-UNIT,
            upper_bound=UNIT,
            l0_sensitivity=1,
            linf_sensitivity=place.contributions,
            dtype="int64",
        )
        for _ in range(place.slots)
    ]
    for slot, numbers in by_slot(place, query_parts):
        sums[slot].add_entries(numbers.tolist())
    return np.array([one.result() for one in sums], np.int64)
