"""Statistics by OpenDP: its clamped sums, its noise, and its own account of both.

Each stability map and privacy map of the library is compared with the layout: OpenDP's charge must
not exceed the job's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from opendp import combinators, measurements, transformations  # its prelude loads scikit-learn
from opendp.domains import atom_domain, vector_domain
from opendp.metrics import l1_distance, l2_distance, symmetric_distance
from opendp.mod import enable_features

from secureflow.adapters.statistics.sums import by_slot, fill, require
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.preparation import Columns
from secureflow.engines.statistics.declared import OwnBounds
from secureflow.engines.statistics.layout import UNIT, QueryLayout
from secureflow.engines.statistics.rows import Integers, Part

enable_features("contrib")

_BATCHES = (1024, 32, 1)
"""Responses drawn per call: a call costs about 0.1 ms."""


class OpenDpStatistician:
    """Sums and noises with OpenDP; see the port `Statistician`."""

    def noised_sums(
        self,
        spec: StatisticsSpec,
        own: OwnBounds,
        columns: Columns,
        units: NDArray[Any] | None,
        honest: int,
    ) -> NDArray[np.int64]:
        """Return the party's vector, noise included (see the port)."""

        def noised(place: QueryLayout, query_parts: tuple[Part, ...]) -> Integers:
            if place.answered:
                return _responses(place, query_parts[0])
            if place.privacy.noise == "local":
                return _values(place, query_parts)
            return _central(place, query_parts, honest)

        return fill(spec, own, columns, units, honest, noised)


def _central(place: QueryLayout, query_parts: tuple[Part, ...], honest: int) -> Integers:
    """Clamp and sum each slot, then noise all slots of the query at once."""
    add = _clamped_sum()
    require(add.map(place.contributions) <= place.contributions * UNIT, "a clamped sum")
    totals = np.zeros(place.slots, np.int64)
    for slot, numbers in by_slot(place, query_parts):
        totals[slot] += add(numbers)
    z = place.privacy.multiplier
    domain = vector_domain(atom_domain(T="i64"))
    if place.privacy.mechanism == "laplace":
        measure: Any = measurements.make_laplace(domain, l1_distance(T="i64"), scale=place.scale)
        require(measure.map(place.l1) <= 1 / z, "Laplace noise")
    else:
        scale = place.share(honest)
        measure = measurements.make_gaussian(domain, l2_distance(T="f64"), scale=scale)
        # ρ of one share of the noise; `honest` of them together give each a fraction of it.
        shares = honest if place.privacy.noise == "shared" else 1
        require(measure.map(place.l2) <= shares / (2 * z * z), "Gaussian noise")
    return np.asarray(measure(totals), np.int64)


def _values(place: QueryLayout, query_parts: tuple[Part, ...]) -> Integers:
    """Noise each value, then sum; the last part counts the rows, whose number is public."""
    domain = vector_domain(atom_domain(T="i64"))
    measure: Any = measurements.make_laplace(domain, l1_distance(T="i64"), scale=place.value_scale)
    require(measure.map(place.value_width) <= 1 / place.privacy.multiplier, "noise on a value")
    totals = np.zeros(place.slots, np.int64)
    *values, count = query_parts
    for part in values:
        np.add.at(totals, part.slots - place.first, np.asarray(measure(part.numbers), np.int64))
    np.add.at(totals, count.slots - place.first, count.numbers)
    return totals


def _responses(place: QueryLayout, part: Part) -> Integers:
    """Answer each value by k-ary randomised response, and count the answers."""
    truth: Any = measurements.make_randomized_response(list(range(place.choices)), place.truth)
    require(truth.map(1) <= 1 / place.privacy.multiplier, "randomised response")
    measures: dict[int, Any] = {1: truth}
    for size in _BATCHES[:-1]:
        measures[size] = combinators.make_composition([truth] * size)
    answered = np.zeros(place.choices, np.int64)
    values, counts = np.unique(part.slots - place.first, return_counts=True)
    for value, left in zip(values.tolist(), counts.tolist(), strict=True):
        for size in _BATCHES:
            for _ in range(left // size):
                found = np.atleast_1d(measures[size](value))
                answered += np.bincount(found, minlength=place.choices)
            left %= size  # noqa: PLW2901 - the remainder for smaller batches
    return answered * UNIT


@lru_cache(maxsize=1)
def _clamped_sum() -> Any:
    return clamped_sum(UNIT)


def clamped_sum(bound: int) -> Any:
    """Return the library's sum of numbers clamped to ±bound."""
    domain, metric = vector_domain(atom_domain(T="i64")), symmetric_distance()
    library: Any = transformations  # its `then_` constructors are untyped
    return library.make_clamp(domain, metric, (-bound, bound)) >> library.then_sum()
