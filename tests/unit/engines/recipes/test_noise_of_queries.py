"""Noise of a preparation's sums: in every query, as wide as it is charged for, and never twice."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.passes import Query, schedule
from secureflow.domain.specs.preparation import PreparationSpec, check_preparation
from secureflow.engines.preparation.fitting import sigma_of
from secureflow.engines.privacy.accounting import Mechanism, epsilon
from secureflow.engines.recipes.charges import charge
from secureflow.engines.recipes.plan import noised
from tests.unit.engines.recipes.world import COLUMNS, STEPS
from tests.unit.engines.run.summed_world import all_needed

ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abcd"]
HONEST = 2
"""Of four parties: at least three are in a sum, and one of these may collude."""
MULTIPLIER, DELTA, DRAWS = 3.0, 1e-6, 600
NEAR = 0.2
"""A deviation that 600 draws show is off by 3 % itself: this is 7 times as much."""


def specified(*, private: bool = True) -> PreparationSpec:
    noise = {"delta": DELTA, "noise_multiplier": MULTIPLIER}
    spec = parse(
        PreparationSpec,
        {
            "project": "prj_0123456789", "name": "inputs", "purpose": "testing",
            "submitter": "ann", "roster": ROSTER, "columns": COLUMNS, "steps": STEPS,
            **({"privacy": noise} if private else {}),
        },
    )  # fmt: skip
    check_preparation(all_needed(spec))
    return spec


SPEC = specified()
ROUNDS = range(1, len(schedule(SPEC).rounds) + 1)
each = pytest.mark.parametrize("number", ROUNDS)


def seed(number: int) -> bytes:
    return number.to_bytes(32, "big")


@lru_cache
def noise(number: int) -> NDArray[np.float64]:
    """What one party adds to a round's sums that are all 0: float64 (draws, places)."""
    nothing = np.zeros(schedule(SPEC).longest, np.int64)
    drawn = [noised(SPEC, number, nothing, seed(one)) for one in range(DRAWS)]
    return np.asarray(drawn, np.float64)


def placed(number: int) -> list[tuple[Query, NDArray[np.float64]]]:
    """A round's queries, and the noise in the places of each."""
    found, offset = [], 0
    for query in schedule(SPEC).rounds[number - 1]:
        found.append((query, noise(number)[:, offset : offset + query.slots]))
        offset += query.slots
    assert not noise(number)[:, offset:].any()  # the rest of the longest round's places
    return found


@each
def test_every_place_of_every_query_has_a_share_of_the_noise(number: int) -> None:
    for query, drawn in placed(number):
        share = sigma_of(SPEC, query) / math.sqrt(HONEST)
        np.testing.assert_allclose(drawn.std(axis=0), share, rtol=NEAR)
        assert np.abs(drawn.mean(axis=0)).max() < NEAR * share
        together = drawn.reshape(-1, HONEST, query.slots).sum(axis=1)
        assert together.std() == pytest.approx(sigma_of(SPEC, query), rel=0.1)


def test_no_two_queries_have_the_same_noise() -> None:
    """Noise of one draw over two queries goes from figures by a difference."""
    pairs = 0
    for number in ROUNDS:
        for (_, one), (_, other) in combinations(placed(number), 2):
            first, second = (drawn[:, 0] / drawn[:, 0].std() for drawn in (one, other))
            assert abs(float((first * second).mean())) < NEAR + 0.1
            pairs += 1
    assert pairs


def test_a_seed_has_one_noise_and_another_seed_another() -> None:
    sums = np.arange(schedule(SPEC).longest, dtype=np.int64) << 20
    first = noised(SPEC, 1, sums, seed(1))
    assert (noised(SPEC, 1, sums, seed(1)) == first).all()
    assert (first - sums == noise(1)[1]).all()
    assert (noised(SPEC, 1, sums, seed(2)) != first).mean() > 0.5
    assert (noised(specified(private=False), 1, sums, seed(1)) == sums).all()


def test_each_query_of_each_round_is_charged() -> None:
    counts = [len(queries) for queries in schedule(SPEC).rounds]
    assert counts == [2, 1]  # the mean of age and the jobs; then age once more
    for rounds in ROUNDS:
        releases = sum(counts[:rounds])
        assert charge(SPEC, rounds) == (Mechanism("gaussian", MULTIPLIER, 1.0, releases),)
        # So many releases with z cost what one with z/√count costs.
        same = epsilon((Mechanism("gaussian", MULTIPLIER / math.sqrt(releases)),), DELTA)
        assert epsilon(charge(SPEC, rounds), DELTA) == pytest.approx(same)
    assert charge(SPEC) == charge(SPEC, ROUNDS[-1])
    assert charge(specified(private=False)) == ()
