"""Five parties' noised sums under real masks: only the total opens, with one noise in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from peers.secagg import Table
from peers.statistics import (
    EVERY,
    LAPLACE,
    LOCAL,
    LOCALLY,
    PARTY,
    SEXES,
    SHARED,
    own_bounds,
    people,
    statistics_spec,
)

from secureflow.adapters.statistics import open_statistician
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.summed import LIMIT
from secureflow.engines.privacy.accounting import ORDERS, Mechanism, renyi, sum_gap
from secureflow.engines.secagg import Aggregator, SecAggClient
from secureflow.engines.secagg.recovery import unmask
from secureflow.engines.secagg.wholenumbers import masked_values, opened_totals
from secureflow.engines.statistics.answers import answers, noise_error
from secureflow.engines.statistics.charges import charge, released
from secureflow.engines.statistics.layout import layout, slots
from secureflow.engines.statistics.plan import honest_shares, statistics_plan
from secureflow.kit.errors import SecureFlowError

DIGEST = "ef" * 32


def _table(privacy: dict[str, Any], parties: int = 5) -> tuple[Table, Any]:
    table = Table(parties, 1)
    roster = [{"party": name, "key": key.public} for name, key in table.keys.items()]
    spec = statistics_spec(privacy=privacy, roster=roster)
    table.plan = statistics_plan(spec, "job_test1234", DIGEST)
    table.clients = {n: SecAggClient(table.plan, n, k) for n, k in table.keys.items()}
    table.aggregator = Aggregator(table.plan)
    return table, spec


def _opened(table: Table, vectors: dict[str, np.ndarray]) -> np.ndarray:
    """Upload these vectors, close, open; return the total that the centre reads."""
    table.set_up()
    table.begin()
    for name, vector in vectors.items():
        frame = table.clients[name].upload(masked_values(vector), 1, {})
        table.aggregator.receive(name, frame)
    table.aggregator.close()
    table.ask()
    table.ask()
    at = table.aggregator._open_round()
    found, secrets = table.aggregator._recovered(at)
    total = at.total.copy()
    unmask(table.plan, at.context, found, secrets, total)
    return opened_totals(table.plan, total, len(found.survivors))


@pytest.mark.parametrize("privacy", [SHARED, PARTY])
@pytest.mark.parametrize("gone", [0, 1])
def test_the_total_is_near_the_truth_whoever_drops_out(privacy: dict[str, Any], gone: int) -> None:
    table, spec = _table(privacy)
    library = open_statistician("opendp")
    honest = honest_shares(table.plan)
    assert honest == 3
    data = {name: people(1500, seed=at) for at, name in enumerate(table.names[gone:])}
    vectors = {
        name: library.noised_sums(spec, own_bounds(), columns, None, honest)
        for name, columns in data.items()
    }
    total = _opened(table, vectors)
    assert (total == sum(vectors.values())).all()
    found = {a["name"]: a["rows"] for a in answers(spec, total, len(data))}
    age, cost, sex = (
        np.concatenate([columns[name] for columns in data.values()])
        for name in ("age", "cost", "sex")
    )
    truth = {
        "rows": [len(age)],
        "by-sex": [(sex == name).sum() for name in SEXES],
        "cost": [cost.sum()],
        "mean-age": [age.mean()],
        "mean-by-sex": [age[sex == name].mean() for name in SEXES],
        "spread": [cost.var()],
        "ages": np.histogram(age, 10, (0, 100))[0],
    }
    for name, values in truth.items():
        for row, value in zip(found[name], values, strict=True):
            assert abs(row["value"] - value) < 7 * row["standard_error"] + 1e-4 * abs(value), name
    for row, quantile in zip(found["median"], (0.25, 0.5, 0.75), strict=True):
        assert row["low"] - 1 <= np.quantile(age, quantile) <= row["high"] + 1


def test_shares_of_noise_are_wide_enough_to_add_up() -> None:
    """The gap between a sum of discrete Gaussians and one is nothing, even for the least noise."""
    spec = statistics_spec(privacy={**SHARED, "noise_multiplier": 0.1}, parties=256)
    for place in layout(spec):
        assert sum_gap(place.share(86), 256) < 1e-300


def test_numbers_at_the_limit_pass_unchanged() -> None:
    table, spec = _table(SHARED, 3)
    vectors = {
        name: np.resize(np.array([LIMIT, -LIMIT, LIMIT - 1, 1, 0]), slots(spec))
        for name in table.names
    }
    assert (_opened(table, vectors) == sum(vectors.values())).all()


def test_parties_with_another_privacy_section_open_nothing() -> None:
    """The masks are bound to the noise that was agreed: an operator cannot show each its own."""
    table, spec = _table(SHARED)
    quiet = statistics_spec(
        privacy={**SHARED, "noise_multiplier": 0.2}, roster=dump(spec)["roster"]
    )
    assert table.plan.dp == dump(spec.privacy)
    table.clients["org-0"] = SecAggClient(
        statistics_plan(quiet, "job_test1234", DIGEST), "org-0", table.keys["org-0"]
    )
    outcome: Callable[[], Any] = lambda: _opened(  # noqa: E731
        table, {name: np.zeros(slots(spec), np.int64) for name in table.names}
    )
    with pytest.raises(SecureFlowError):
        outcome()


def test_masks_that_did_not_cancel_are_no_total() -> None:
    table, spec = _table(SHARED)
    total = np.zeros(table.plan.encoding.slots, table.plan.ring)
    total[table.plan.encoding.length] = 4  # the parties' weights
    assert len(opened_totals(table.plan, total, 4)) == slots(spec)
    total[-1] = 1
    with pytest.raises(SecureFlowError) as refused:
        opened_totals(table.plan, total, 4)
    assert refused.value.code == "sum_inconsistent"


def test_local_noise_charges_each_value_of_a_unit_by_its_own_mechanism() -> None:
    spec = statistics_spec(LOCAL, {**LOCALLY, "unit": "person"}, contributions=3)
    assert set(charge(spec)) == {
        Mechanism("response", 1.0, 1.0, 4 * 3),
        Mechanism("laplace", 1.0, 1.0, 3 * 3),
    }
    rows = released(spec)
    each = [one for row in rows for one in row["charge"]]
    assert sum(one["count"] for one in each) == 7 * 3
    assert "not hidden" in next(
        row["mechanism"] for row in rows if row["number"].startswith("number of rows")
    )


@pytest.mark.parametrize("multiplier", [0.1, 1.0, 30.0])
def test_discrete_laplace_noise_diverges_no_more_than_what_is_charged(multiplier: float) -> None:
    """Its Rényi divergence in closed form, with digits enough; see `layout._SLACK`."""
    spec = statistics_spec(privacy={**LAPLACE, "noise_multiplier": multiplier})
    place = layout(spec)[0]
    charged = renyi(charge(spec)) / len(EVERY)
    with mpmath.workdps(60):
        scale, shift = mpmath.mpf(place.scale), place.l1
        q = mpmath.exp(-1 / scale)
        for order, most in zip(ORDERS.tolist(), charged.tolist(), strict=True):
            rate = 2 * mpmath.mpf(order) - 1
            middle = q**rate * (1 - q ** (rate * (shift - 1))) / (1 - q**rate)
            ends = (1 + q ** (rate * shift)) / (1 - q)
            moment = (1 - q) / (1 + q) * q ** ((1 - order) * shift) * (ends + middle)
            assert float(mpmath.log(moment) / (order - 1)) <= most * (1 + 1e-12)


def test_what_is_released_is_what_is_charged() -> None:
    for privacy in (SHARED, PARTY):
        spec = statistics_spec(privacy=privacy)
        rows = released(spec)
        assert [row["number"] for row in rows][: len(EVERY)] == [q["name"] for q in EVERY]
        costs = [Mechanism(**one) for row in rows for one in row["charge"]]
        assert charge(spec) == (Mechanism("gaussian", 1.0, 1.0, len(EVERY)),)
        assert len(costs) == charge(spec)[0].count


def test_the_noise_of_the_total_is_told() -> None:
    spec = statistics_spec()
    assert noise_error(layout(spec)[0], 5, 5) == pytest.approx(
        layout(spec)[0].scale * np.sqrt(5 / 3)
    )
