"""Empirical lower bounds on ε of real releases, and noise half as wide that they catch.

Each of 4,000 towns is a trial of its own, for a person is in one town: half of them are there.
The threshold is fixed beforehand: half of those who are there reach it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from peers.statistics import LAPLACE, LOCALLY, PYDP, SHARED, own_bounds, statistics_spec

from secureflow.adapters.statistics import open_statistician
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.privacy.accounting import epsilon
from secureflow.engines.privacy.audit import Counts, count, epsilon_lower_bound
from secureflow.engines.statistics.charges import charge
from secureflow.engines.statistics.layout import UNIT, layout

TOWNS = [f"town-{number}" for number in range(4000)]
HONEST = 3


def _spec(privacy: dict[str, Any]) -> StatisticsSpec:
    town = {"column": "town", "type": "category", "categories": TOWNS}
    return statistics_spec([{"name": "q", "measure": "count", "by": "town"}], privacy,
                           columns=[town])  # fmt: skip


def _scores(spec: StatisticsSpec, present: bool) -> list[float]:
    """Each town's opened count, of the honest parties' noise alone (colluders know theirs)."""
    library = open_statistician(spec.privacy.library)
    parties = HONEST if spec.privacy.noise == "shared" else 1
    total = np.zeros(len(TOWNS), np.int64)
    for party in range(parties):
        rows = TOWNS if present and party == 0 else []
        columns = {"town": np.array(rows, object)}
        own = own_bounds(categories={"town": tuple(TOWNS)})
        total += library.noised_sums(spec, own, columns, None, HONEST)
    return (total / UNIT).tolist()


def _measured(spec: StatisticsSpec, delta: float) -> float:
    counts = count(_scores(spec, True), _scores(spec, False), 1.0)
    return epsilon_lower_bound(counts, delta, 1 - 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("privacy", "delta"),
    [
        ({**SHARED, "noise_multiplier": 1.0}, 0.05),
        pytest.param({**LAPLACE, "noise_multiplier": 0.6}, 1e-9, marks=pytest.mark.full),
        pytest.param({**PYDP, "noise_multiplier": 0.6}, 1e-9, marks=pytest.mark.full),
    ],
    ids=["shared gaussian", "opendp laplace", "pydp laplace"],
)
def test_a_count_reveals_no_more_than_accounted_and_half_its_noise_is_caught(
    privacy: dict[str, Any], delta: float
) -> None:
    spec = _spec(privacy)
    accounted = epsilon(charge(spec), delta, "pld")
    measured = _measured(spec, delta)
    assert 0.3 * accounted < measured <= accounted
    half = _spec({**privacy, "noise_multiplier": privacy["noise_multiplier"] / 2})
    assert _measured(half, delta) > accounted


def test_a_response_reveals_no_more_than_accounted_and_a_truer_one_is_caught() -> None:
    """Values of one of two: how often each is answered tells ε directly."""
    queries = [{"name": "s", "measure": "count", "by": "sex"}]
    sex = [{"column": "sex", "type": "category", "categories": ["f", "m"]}]
    own = own_bounds(categories={"sex": ("f", "m")})

    def measured(multiplier: float) -> float:
        privacy = {**LOCALLY, "noise_multiplier": multiplier}
        spec = statistics_spec(queries, privacy, columns=sex)
        library = open_statistician("opendp")
        hits, alarms = (
            library.noised_sums(spec, own, {"sex": np.array([value] * 4000, object)}, None, 3)[0]
            // UNIT
            for value in ("f", "m")
        )
        assert layout(spec)[0].answered
        return epsilon_lower_bound(Counts(int(hits), 4000, int(alarms), 4000), 1e-9, 1 - 1e-6)

    assert 0.7 < measured(1.0) <= 1.0
    assert measured(0.5) > 1.0
