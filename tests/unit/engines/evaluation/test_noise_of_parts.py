"""Noise of an evaluation's sums: in every part, as wide as it is charged for, and never twice."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.engines.evaluation.charges import SPENDING, charge, released
from secureflow.engines.evaluation.kind import EVALUATION_ENGINE
from secureflow.engines.evaluation.plan import longest, noised, parts, party_sums
from secureflow.engines.evaluation.stage import STAGE
from secureflow.engines.privacy.accounting import Mechanism, epsilon
from tests.unit.engines.evaluation.world import FEATURES, MODELS, specified

PARTIES = tuple(f"bank-{one}" for one in "abcd")
ROSTER = [{"party": one, "key": one[-1] * 44, "dataset": "d"} for one in PARTIES]
HONEST = 2
"""Of four parties: at least three are in a sum, and one of these may collude."""
MULTIPLIER, ROWS, DELTA = 3.0, 2, 1e-6
"""z of the noise, most rows of a person, and δ."""
DRAWS = 600
NEAR = 0.2
"""A deviation that 600 draws show is off by 3 % itself: this is 7 times as much."""

LABELS: dict[str, dict[str, Any]] = {
    "binary": {"column": "income", "positive": ">50K"},
    "classes": {"column": "income", "classes": ["a", "b", "c"]},
    "number": {"column": "income", "bounds": [0, 10]},
}
FAMILIES = {"binary": "logistic_regression", "classes": "softmax", "number": "linear"}
MOVED = {"binary": 4, "classes": 3, "number": 6}
"""The square of what one row moves the sums of a part by, in rows that add 1."""
each = pytest.mark.parametrize("form", sorted(LABELS))


def private(form: str = "binary", **changes: Any) -> EvaluationSpec:
    features = {**FEATURES, "label": LABELS[form]}
    model = {**MODELS[0], "features": features, "model": {"family": FAMILIES[form]}}
    noise = {"delta": DELTA, "noise_multiplier": MULTIPLIER, "unit": "person"}
    kept = {"models": [model], "privacy": noise, "contributions": ROWS, "per_party": True}
    return specified(ROSTER, **{**kept, **changes})


def seed(number: int) -> bytes:
    return number.to_bytes(32, "big")


@lru_cache
def noise(form: str) -> NDArray[np.float64]:
    """What one party adds to sums that are all 0: float64 (draws, places)."""
    spec = private(form)
    nothing = np.zeros(longest(spec), np.int64)
    drawn = [noised(spec, 1, nothing, seed(one)) for one in range(DRAWS)]
    return np.asarray(drawn, np.float64)


@each
def test_every_place_of_every_part_has_a_share_of_the_noise(form: str) -> None:
    """Also those of other parties' parts: whose rows they are must not be told from the noise."""
    found = list(parts(private(form), 1))
    assert [part.party for part in found] == ["", *PARTIES]
    assert [part.place.start for part in found[1:]] == [part.place.stop for part in found[:-1]]
    assert found[-1].place.stop == noise(form).shape[1]
    for part in found:
        sigma = MULTIPLIER * math.sqrt(MOVED[form]) * ROWS * part.unit
        assert part.sigma == pytest.approx(sigma)
        share = sigma / math.sqrt(HONEST)
        drawn = noise(form)[:, part.place]
        np.testing.assert_allclose(drawn.std(axis=0), share, rtol=NEAR)
        assert np.abs(drawn.mean(axis=0)).max() < NEAR * share


@each
def test_honest_parties_together_add_the_noise_that_is_charged(form: str) -> None:
    together = noise(form).reshape(-1, HONEST, noise(form).shape[1]).sum(axis=1)
    for part in parts(private(form), 1):
        sigma = MULTIPLIER * math.sqrt(MOVED[form]) * ROWS * part.unit
        assert together[:, part.place].std() == pytest.approx(sigma, rel=0.05)


@each
def test_no_two_parts_have_the_same_noise(form: str) -> None:
    """Otherwise their difference would have none."""
    for one, other in combinations(parts(private(form), 1), 2):
        pair = [noise(form)[:, part.place] for part in (one, other)]
        assert (pair[0] != pair[1]).any(axis=1).all()
        together = (pair[0] * pair[1]).mean(axis=0) / (pair[0].std(axis=0) * pair[1].std(axis=0))
        assert np.abs(together).max() < NEAR + 0.1  # 7 times the 4 % of independent ones


def test_a_seed_has_one_noise_and_another_seed_another() -> None:
    spec = private()
    sums = np.arange(longest(spec), dtype=np.int64) << 20
    first = noised(spec, 1, sums, seed(1))
    assert (noised(spec, 1, sums, seed(1)) == first).all()
    assert (first - sums == noise("binary")[1]).all()
    again = noised(spec, 1, sums, seed(2))
    for part in parts(spec, 1):
        assert (again[part.place] != first[part.place]).mean() > 0.9


def test_without_privacy_sums_are_exact() -> None:
    spec = private(privacy=None, contributions=1)
    sums = np.arange(longest(spec), dtype=np.int64)
    assert (noised(spec, 1, sums, seed(1)) == sums).all()


@each
def test_a_row_is_in_the_sums_of_all_and_of_its_party_alone(form: str) -> None:
    """So it is released twice, each time within what the noise of one part hides."""
    spec = private(form)
    width = 3 if form == "classes" else 1
    outputs = np.full((1, width), 0.3, np.float32)
    sums = party_sums(spec, 1, "bank-b", outputs, np.ones(1, np.float32))
    for part in parts(spec, 1):
        moved = float(np.linalg.norm(sums[part.place]))
        if part.party in {"", "bank-b"}:
            assert 0 < moved <= math.sqrt(MOVED[form]) * part.unit
        else:
            assert moved == 0


@pytest.mark.parametrize("rounds", [1, 2])
def test_figures_of_each_party_are_charged_as_another_release(rounds: int) -> None:
    together, apart = (private(per_party=own, models=MODELS) for own in (False, True))
    assert charge(together, rounds) == (Mechanism("gaussian", MULTIPLIER, 1.0, rounds),)
    assert charge(apart, rounds) == (Mechanism("gaussian", MULTIPLIER, 1.0, 2 * rounds),)
    for spec, releases in ((together, rounds), (apart, 2 * rounds)):
        assert EVALUATION_ENGINE.charge(spec, {STAGE: rounds}) == charge(spec, rounds)
        # So many releases with z cost what one with z/√count costs.
        same = epsilon((Mechanism("gaussian", MULTIPLIER / math.sqrt(releases)),), DELTA)
        assert epsilon(charge(spec, rounds), DELTA) == pytest.approx(same)
        assert same <= SPENDING.epsilon(spec, rounds) <= same + 2e-6
    assert SPENDING.epsilon(apart, rounds) > 1.3 * SPENDING.epsilon(together, rounds)


def test_a_plan_is_charged_for_all_that_a_row_is_released_in() -> None:
    """The rows of what is released name the two releases of each model that a row is in."""
    spec = private(models=MODELS)
    assert charge(spec) == charge(spec, len(MODELS)) == EVALUATION_ENGINE.charge(spec)
    names = [str(row["number"]) for row in released(spec) if row["charge"]]
    of_bank_b = [
        name for name in names if not any(name.endswith(p) for p in PARTIES if p != "bank-b")
    ]
    assert sum(one.count for one in charge(spec)) == len(of_bank_b) == 2 * len(MODELS)
    assert charge(private(privacy=None, contributions=1)) == ()
