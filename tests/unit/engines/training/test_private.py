"""Private rounds as pure functions: what is bounded, what is noised, what is never released."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.private_jobs import PARTIES, private_spec, rows

from secureflow.engines.privacy.accounting import Mechanism
from secureflow.engines.privacy.seeds import joint_seed
from secureflow.engines.training.encodings import check_mean
from secureflow.engines.training.models import update_layout
from secureflow.engines.training.noising import noise_of, noised_state, seed_of
from secureflow.engines.training.private import (
    SEED_WORDS,
    charge,
    norm_cap,
    party_delta,
    privacy_of,
    private_delta,
    private_sums,
    released,
)
from secureflow.kit.errors import SecureFlowError

SEED = b"s" * 32
PARTY = {
    "unit": "party", "mechanism": "central", "party_unit_acknowledged": True, "delta": 0.01,
}  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 99), st.integers(0, 1 << 30))
def test_one_record_moves_the_sum_by_at_most_the_sensitivity(gone: int, seed: int) -> None:
    spec = private_spec()
    assert spec.privacy
    inputs, labels = rows(seed)
    weights = np.random.default_rng(seed).normal(0, 3, spec.parameters).astype(np.float32)
    whole = private_delta(spec, weights, (inputs, labels), SEED)
    kept = np.arange(len(labels)) != gone
    less = private_delta(spec, weights, (inputs[kept], labels[kept]), SEED)
    moved = float(np.linalg.norm(whole - less))
    assert moved <= 2.0**spec.privacy.bits + np.sqrt(spec.parameters)
    # … and the bound is no luxury: the noise must cover what a record really does.
    assert spec.privacy.sigma(spec.parameters) >= spec.privacy.multiplier * moved


def test_lattice_coordinates_are_integers_and_exact_in_float32() -> None:
    spec = private_spec({"clipping_norm": 0.3})
    delta = private_delta(spec, np.zeros(4, np.float32), rows(1), SEED)
    assert delta.dtype == np.float32
    assert (delta == np.rint(delta)).all()
    assert np.abs(delta).max() > 100
    assert float(np.linalg.norm(delta)) <= norm_cap(spec)


def test_more_rows_than_are_declared_fail_nowhere() -> None:
    """A refusal would be seen without noise, and the aggregate's would accuse an honest centre.

    All labels are negative, so that the gradients add up; a party has ten times the rows of all.
    """
    spec = private_spec({"noise": "shared"}, protection="secagg")
    assert spec.privacy
    cap, most = norm_cap(spec), 2.0**spec.privacy.bits + np.sqrt(spec.parameters)
    total, before = np.zeros(4), np.full(4, 3.0, np.float32)
    for number in range(len(PARTIES)):
        inputs, labels = np.abs(rows(number, 4000)[0]), np.zeros(4000, np.float32)
        delta = private_delta(spec, before, (inputs, labels), SEED)
        less = private_delta(spec, before, (inputs[1:], labels[1:]), SEED)
        assert 0.99 * cap < np.linalg.norm(delta.astype(np.float64)) <= cap
        assert np.linalg.norm(delta.astype(np.float64) - less) <= most
        total += delta
    check_mean(spec, total.astype(np.float32))


def test_sampling_takes_other_records_with_another_seed_and_the_same_with_the_same() -> None:
    spec = private_spec({"sampling": 0.5})
    first, again, other = (
        private_delta(spec, np.zeros(4, np.float32), rows(1), seed)
        for seed in (SEED, SEED, b"t" * 32)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_a_whole_party_moves_the_sum_by_at_most_the_clip() -> None:
    spec = private_spec({**PARTY, "clipping_norm": 0.25})
    assert spec.privacy
    delta = party_delta(spec, np.zeros(4, np.float32), np.full(4, 100.0, np.float32))
    in_units = float(np.linalg.norm(delta)) * spec.privacy.step
    assert in_units == pytest.approx(0.25, rel=1e-3)


def test_local_noise_is_in_the_update_and_has_the_full_width() -> None:
    spec = private_spec({"noise": "local", "noise_multiplier": 5.0, "rows": 400})
    assert spec.privacy
    zero = np.zeros(4, np.float32)
    quiet = private_delta(private_spec({"rows": 400}), zero, rows(1), SEED)
    deltas = [private_delta(spec, zero, rows(1), bytes([n]) * 32) for n in range(200)]
    spread = np.std(np.array(deltas), axis=0)
    per_step = spec.plan.learning_rate / 100  # a party's share of the public denominator
    wanted = spec.privacy.sigma(4) * spec.privacy.step * per_step
    np.testing.assert_allclose(spread, wanted, rtol=0.25)
    mean = -quiet * spec.privacy.step * per_step
    np.testing.assert_allclose(np.mean(deltas, axis=0), mean, atol=4 * wanted / np.sqrt(200))


def test_sums_hold_a_constant_weight_and_a_seed_and_nothing_of_the_data() -> None:
    spec = private_spec()
    sums = private_sums(spec, SEED)
    assert len(sums) == update_layout(spec, "train").sums == 1 + SEED_WORDS
    assert sums[0] == 1.0
    own, again, other = (private_sums(spec, seed)[1:] for seed in (SEED, SEED, b"x"))
    assert seed_of(own) == seed_of(again) != seed_of(other)
    assert update_layout(spec, "evaluate").sums == 1
    local = private_spec({"noise": "local"})
    assert private_sums(local, SEED).tolist() == [1.0]
    assert update_layout(local, "train").sums == 1


@pytest.mark.parametrize(
    "words", [[], [0.0] * 7, [0.5] + [0.0] * 7, [-1.0] + [0.0] * 7, [2.0**32] + [0.0] * 7]
)
def test_an_update_without_a_seed_is_refused(words: list[float]) -> None:
    with pytest.raises(SecureFlowError) as caught:
        seed_of(words)
    assert caught.value.code == "noise_seed_malformed"


def test_noise_depends_on_every_seed_and_on_what_is_released() -> None:
    seeds = {party: bytes([n]) * 32 for n, party in enumerate(PARTIES)}
    base = joint_seed(seeds, round=1, model="m")
    assert base == joint_seed(dict(reversed(seeds.items())), round=1, model="m")
    others = [joint_seed({**seeds, party: b"z" * 32}, round=1, model="m") for party in PARTIES]
    others += [joint_seed(seeds, round=2, model="m"), joint_seed(seeds, round=1, model="n")]
    assert len({base, *others}) == 1 + len(others)


def test_the_noise_on_the_sum_has_the_accounted_width() -> None:
    spec = private_spec({"noise_multiplier": 3.0})
    assert spec.privacy
    values = np.concatenate(
        [noise_of(spec, "train", bytes([n // 256, n % 256])) for n in range(5000)]
    )
    assert values.std() == pytest.approx(spec.privacy.sigma(4), rel=0.02)
    assert values.std() * spec.privacy.step >= 3.0 * spec.privacy.clipping_norm


def test_the_next_model_divides_by_public_numbers_only() -> None:
    spec = private_spec({"sampling": 0.5}, plan={"rounds": 3, "validation": 0, "learning_rate": 2})
    steps = 2.0**10  # of one clipping norm
    moved = noised_state(spec, np.zeros(4, np.float32), np.full(4, 100.0 * steps))
    np.testing.assert_allclose(moved, -2 * 100 / (0.5 * 400))
    party = private_spec(PARTY)
    halves = noised_state(party, np.zeros(4, np.float32), np.full(4, 2.0 * steps))
    np.testing.assert_allclose(halves, 0.5)
    with pytest.raises(SecureFlowError, match="finite"):
        noised_state(party, np.zeros(4, np.float32), np.full(4, 1e300))


def test_the_charge_is_every_release_of_the_plan() -> None:
    assert charge(private_spec({"sampling": 0.5})) == (Mechanism("gaussian", 2.0, 0.5, 3),)
    assert charge(private_spec(), 2) == (Mechanism("gaussian", 2.0, 1.0, 2),)
    assert charge(private_spec({"noise": "local", "local_steps": 5}))[0].count == 15
    assert charge(private_spec(), 0) == () == charge(replace(private_spec(), privacy=None))


def test_every_released_number_names_its_mechanism() -> None:
    table = released(private_spec())
    assert {row["number"] for row in table} >= {"model of each round", "weight", "denominator"}
    assert all(row["mechanism"] for row in table)
    charged = [row for row in table if row["charge"]]
    assert [row["number"] for row in charged] == ["model of each round"]


def test_local_steps_that_overflow_change_nothing() -> None:
    """Weights grow a thousandfold with each step: whether they end as numbers must not be seen."""
    spec = private_spec(
        {"noise": "local", "local_steps": 200, "clipping_norm": 1e6},
        plan={"rounds": 1, "validation": 0.0, "learning_rate": 100.0},
        model={"l2": 10.0},
    )
    before = np.full(4, 1e30, np.float32)
    assert not private_delta(spec, before, rows(1), SEED).any()


@pytest.mark.parametrize("norm", [0.0, -1.0, np.nan, np.inf, 1e-40])
def test_a_state_that_names_no_norm_makes_no_update_fail(norm: float) -> None:
    """A job resumes from whatever state it names; a change of nothing at all must look like any."""
    party = {"unit": "party", "mechanism": "central", "party_unit_acknowledged": True}
    spec = private_spec({**party, "rows": 0, "adaptive": {"bit_noise": 10.0}})
    state = np.array([0, 0, 0, 0, norm], np.float32)
    for trained in (np.zeros(4, np.float32), np.ones(4, np.float32)):
        delta = party_delta(spec, state, trained)
        assert np.isfinite(delta).all()
        assert np.abs(delta[:-1]).max() <= 2.0 ** privacy_of(spec).bits
