"""Noise that parties mask, bounds that adapt, metrics under noise: what opens, and what follows."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.private_jobs import PARTIES, private_value, rows

from secureflow.domain.quorum import colluders_of, threshold_of
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.engines.preparation import split_by_content
from secureflow.engines.privacy.accounting import sum_gap
from secureflow.engines.privacy.gaussian import sample
from secureflow.engines.secagg import Aggregator, SecAggClient
from secureflow.engines.secagg.encoding import encode
from secureflow.engines.training.encodings import (
    SummedUpdates,
    apply_mean,
    masked_parts,
    masked_plan,
    opened_sums,
)
from secureflow.engines.training.measures import measure_of
from secureflow.engines.training.models import Stage, initial_state, model_family, update_layout
from secureflow.engines.training.noising import (
    longest_sum,
    metric_errors,
    noise_bound,
    noise_of,
    noised_state,
    released_sums,
    split_sums,
)
from secureflow.engines.training.private import (
    METRIC_UNIT,
    charge,
    norm_cap,
    party_delta,
    private_delta,
    private_sums,
)
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

JOB = "job_0123456789abcdefghjk"
MODEL = "ab" * 32
SHARED: dict[str, Any] = {"noise": "shared"}
PARTY = {
    "unit": "party", "mechanism": "central", "party_unit_acknowledged": True, "delta": 0.01,
    "adaptive": {"quantile": 0.5, "rate": 0.2, "bit_noise": 4.0},
}  # fmt: skip
MEASURED = {"plan": {"rounds": 3, "validation": 0.2, "learning_rate": 1.0}}
KEYS = {p: SigningKey.from_seed(p.ljust(32).encode()) for p in PARTIES}


def spec_of(privacy: dict[str, Any], **changes: Any) -> TrainingSpec:
    protection = "secagg" if "noise" in privacy else "sealed"
    spec = parse(TrainingSpec, private_value(privacy, **{"protection": protection, **changes}))
    check(spec)
    return spec


def update(spec: TrainingSpec, party: int, stage: Stage, seed: bytes) -> tuple[Any, Any]:
    """Return delta and sums of an honest party, as the worker makes them."""
    state = initial_state(spec)
    if stage == "evaluate":
        family, data = model_family(spec), rows(party)
        ones = np.ones(spec.model_parameters, np.float32)
        steps = family.metric_steps(ones, *data, METRIC_UNIT)
        return np.zeros(0, np.float32), private_sums(spec, seed, steps)
    if spec.privacy and spec.privacy.unit == "party":
        trained = model_family(spec).train(spec, state[: spec.model_parameters], *rows(party), seed)
        return party_delta(spec, state, trained), private_sums(spec, seed)
    return private_delta(spec, state, rows(party), seed), private_sums(spec, seed)


def opened(spec: TrainingSpec, stage: Stage, dead: int = 0) -> dict[str, Any]:
    """Run one masked round among the parties, the first `dead` of them never uploading."""
    plan = masked_plan(spec, JOB, spec_digest(spec), stage)
    clients = {p: SecAggClient(plan, p, k) for p, k in KEYS.items()}
    folder = Aggregator(plan)
    for party, client in clients.items():
        folder.receive(party, client.setup())
    for party, client in clients.items():
        client.meet(folder.meet())
        folder.receive(party, client.advance(0))
    for party, frame in folder.begin(0, MODEL).items():
        clients[party].begin(frame, MODEL)
    exact: Any = 0
    noise: Any = 0
    for number, (party, client) in enumerate(clients.items()):
        if number < dead:
            continue
        delta, sums = update(spec, number, stage, bytes([number]) * 32)
        given = masked_parts(spec, stage, plan, delta, sums)
        frame = client.upload(given.values, given.weight, given.metrics, given.noise)
        folder.receive(party, frame)
        kept, seed = split_sums(spec, stage, sums)
        exact = exact + (delta.astype(np.int64) if stage == "train" else kept[1:])
        noise = noise + noise_of(spec, stage, seed)
    folder.close()
    for _ in range(2):
        for party, frame in folder.requests().items():
            folder.receive(party, clients[party].answer(frame))
    result = folder.result()
    step = plan.encoding.step
    total = np.rint(result.mean * result.weight / step).astype(np.int64)
    return {"plan": plan, "total": total, "exact": exact, "noise": noise, "result": result}


@pytest.mark.parametrize("dead", [0, 1])
@pytest.mark.parametrize("privacy", [SHARED, {**PARTY, **SHARED}])
def test_what_opens_is_the_exact_sum_and_the_survivors_noise(
    privacy: dict[str, Any], dead: int
) -> None:
    spec = spec_of(privacy)
    found = opened(spec, "train", dead)
    assert (found["total"] == found["exact"] + found["noise"]).all()
    assert np.abs(found["exact"]).max() > 100
    assert found["noise"].any()


def test_shares_of_the_fewest_honest_parties_make_up_the_accounted_noise() -> None:
    spec = spec_of(SHARED)
    assert spec.privacy
    share = np.concatenate([noise_of(spec, "train", n.to_bytes(32, "big")) for n in range(5000)])
    least = threshold_of(len(PARTIES)) - colluders_of(len(PARTIES))
    wanted = spec.privacy.sigma(spec.parameters)
    assert share.std() * math.sqrt(least) == pytest.approx(wanted, rel=0.03)
    assert np.abs(share).max() <= noise_bound(spec, "train")
    assert sum_gap(wanted / math.sqrt(least), 256) < 1e-30


def test_without_its_noise_a_masked_sum_would_be_exact() -> None:
    """The control of the tests above: local noise is in the delta, and the mask adds none."""
    spec = spec_of({"noise": "local"})
    plan = masked_plan(spec, JOB, spec_digest(spec), "train")
    delta, sums = update(spec, 0, "train", b"s" * 32)
    assert masked_parts(spec, "train", plan, delta, sums).noise is None
    assert noise_bound(spec, "train") == 0


def test_everybody_computes_the_same_state_from_what_is_published() -> None:
    spec = spec_of(SHARED)
    plan = masked_plan(spec, JOB, spec_digest(spec), "train")
    total = np.zeros(plan.encoding.slots, plan.ring)
    signed = total.view(np.int32 if plan.ring.itemsize == 4 else np.int64)
    signed[: spec.parameters] = [1 << 17, -(1 << 16), 12_345, 7]
    signed[spec.parameters] = 4
    state, published = initial_state(spec), np.empty(spec.parameters, np.float32)
    apply_mean(spec, plan, SummedUpdates(total, 4, 4), state, published)
    assert (published == signed[: spec.parameters]).all()  # the noised sum itself, in steps
    again = noised_state(spec, initial_state(spec), published.astype(np.float64))
    assert (again == state).all()
    assert state.any()


def test_a_published_sum_that_no_contributors_can_have_is_refused() -> None:
    spec = spec_of(SHARED)
    plan = masked_plan(spec, JOB, spec_digest(spec), "train")
    total = np.zeros(plan.encoding.slots, plan.ring)
    signed = total.view(np.int32 if plan.ring.itemsize == 4 else np.int64)
    signed[0], signed[spec.parameters] = int(longest_sum(spec) * 1.01), 4
    opened = SummedUpdates(total, 4, 4)
    with pytest.raises(SecureFlowError) as refused:
        apply_mean(spec, plan, opened, initial_state(spec), np.empty(4, np.float32))
    assert refused.value.code == "model_inconsistent"


def test_an_update_and_its_bit_stay_within_the_cap_of_the_enclave() -> None:
    spec = spec_of({**PARTY, "clipping_norm": 0.01})
    assert spec.parameters == spec.model_parameters + 1
    assert spec.privacy
    state = initial_state(spec)
    assert state[-1] == np.float32(0.01)
    long = party_delta(spec, state, np.full(spec.model_parameters, 5.0, np.float32))
    short = party_delta(spec, state, state[:-1] + np.float32(1e-4))
    assert long[-1] == -(2 ** (spec.privacy.bits - 1)) == -short[-1]
    assert np.linalg.norm(long[:-1]) == pytest.approx(2**spec.privacy.bits, rel=0.01)
    assert np.linalg.norm(long) <= norm_cap(spec)
    assert spec.privacy.bit_sigma == 4.0 * 2**spec.privacy.bits


def test_the_bound_follows_the_quantile_and_stays_in_range() -> None:
    spec = spec_of(PARTY)
    assert spec.privacy
    state, half = initial_state(spec), 2.0 ** (spec.privacy.bits - 1)
    all_within = noised_state(spec, state, np.append(np.zeros(4), 4 * half))
    all_beyond = noised_state(spec, state, np.append(np.zeros(4), -4 * half))
    balanced = noised_state(spec, state, np.zeros(5))
    assert all_within[-1] == pytest.approx(math.exp(-0.1))
    assert all_beyond[-1] == pytest.approx(math.exp(0.1))
    assert balanced[-1] == 1.0
    tiny = np.array([*state[:-1], 1e-6], np.float32)
    assert noised_state(spec, tiny, np.append(np.zeros(4), 4 * half))[-1] == np.float32(1e-6)


def test_an_adapting_bound_scales_the_released_change() -> None:
    spec = spec_of({**PARTY, "clipping_norm": 3.0})
    assert spec.privacy
    unit = 2.0**spec.privacy.bits
    moved = noised_state(spec, initial_state(spec), np.array([4 * unit, 0, 0, 0, 0]))
    assert moved[0] == pytest.approx(3.0)  # four parties at the bound of 3, divided by four


def test_update_and_bit_together_cost_the_multiplier() -> None:
    spec = spec_of(PARTY)
    assert spec.privacy
    size = spec.model_parameters
    left = spec.privacy.sigma(size) / (2.0**spec.privacy.bits + math.sqrt(size))
    bit = spec.privacy.bit_sigma / 2.0 ** (spec.privacy.bits - 1)
    assert (left**-2 + bit**-2) ** -0.5 == pytest.approx(spec.privacy.multiplier)
    assert charge(spec)[0].noise == spec.privacy.multiplier


# --- metrics -----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), st.integers(0, 1 << 20))
def test_one_row_moves_metric_steps_by_no_more_than_their_sensitivity(gone: int, seed: int) -> None:
    spec = spec_of({"metrics_noise": 5.0, **SHARED}, **MEASURED)
    family = model_family(spec)
    model = np.random.default_rng(seed).normal(0, 3, spec.parameters).astype(np.float32)
    inputs, labels = rows(seed)
    kept = np.arange(len(labels)) != gone
    whole = family.metric_steps(model, inputs, labels, METRIC_UNIT)
    less = family.metric_steps(model, inputs[kept], labels[kept], METRIC_UNIT)
    moved = float(np.linalg.norm(whole - less))
    assert moved <= 2 * METRIC_UNIT
    assert spec.privacy
    assert spec.privacy.metrics_sigma >= 5.0 * moved


@pytest.mark.parametrize("privacy", [SHARED, {"noise": "local"}])
def test_metrics_open_with_their_noise_and_nothing_else(privacy: dict[str, Any]) -> None:
    spec = spec_of({"metrics_noise": 2.0, **privacy}, **MEASURED)
    plan = masked_plan(spec, JOB, spec_digest(spec), "evaluate")
    local = privacy["noise"] == "local"
    quiet: Any = 0
    kept: Any = 0
    noise: Any = 0
    total = np.zeros(plan.encoding.slots, plan.ring)
    for number in range(4):
        delta, sums = update(spec, number, "evaluate", bytes([number]) * 32)
        given = masked_parts(spec, "evaluate", plan, delta, sums)
        own, seed = split_sums(spec, "evaluate", sums)
        kept = kept + own[1:]
        noise = noise + (0 if local else noise_of(spec, "evaluate", seed))
        assert (given.noise is None) == local
        family, data = model_family(spec), rows(number)
        quiet = quiet + family.metric_steps(np.ones(4, np.float32), *data, METRIC_UNIT)
        slots = np.zeros(plan.encoding.slots, plan.ring)
        encode(plan.encoding, given.values, given.weight, given.metrics, given.noise, slots)
        total += slots
    released = opened_sums(spec, "evaluate", plan, total, 4)
    assert released == released_sums(spec, "evaluate", [4.0, *(kept + noise).tolist()])
    told = measure_of(spec).summarise(np.array(released[1:]))
    assert told["rows"] == pytest.approx(400, abs=40)
    exact = measure_of(spec).sums_of_steps(quiet.astype(float), METRIC_UNIT)
    assert told["accuracy"] == pytest.approx(exact[2] / exact[0], abs=0.1)
    assert (kept != quiet).any() == local  # a party's own noise is in what it sends
    assert released[1] != exact[0]


def test_without_a_multiplier_nothing_is_measured() -> None:
    spec = spec_of(SHARED)
    assert update_layout(spec, "evaluate").sums == 1
    assert masked_plan(spec, JOB, "ef" * 32, "evaluate").encoding.metrics == ()


def test_the_evaluation_is_charged_besides_the_rounds() -> None:
    spec = spec_of({"metrics_noise": 7.0, **SHARED}, **MEASURED)
    rounds, evaluation = charge(spec)
    assert (rounds.count, evaluation.noise, evaluation.sampling, evaluation.count) == (3, 7, 1, 1)
    assert charge(spec, 1)[1] == evaluation
    assert charge(spec, 0) == ()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 199), st.integers(0, 1 << 30))
def test_a_row_that_is_removed_moves_no_other_row_to_the_other_part(gone: int, seed: int) -> None:
    inputs, labels = rows(seed % 7, 200)
    inputs[3] = inputs[100]  # equal rows go together
    labels[3] = labels[100]
    train, valid = split_by_content(inputs, labels, seed, 0.3)
    assert sorted([*train, *valid]) == list(range(200))
    assert (3 in valid) == (100 in valid)
    kept = np.arange(200) != gone
    after, _ = split_by_content(inputs[kept], labels[kept], seed, 0.3)
    places = np.flatnonzero(kept)
    assert set(places[after]) == set(train) - {gone}


def test_the_split_by_content_takes_about_its_share_and_depends_on_the_seed() -> None:
    inputs, labels = rows(1, 5000)
    parts = [split_by_content(inputs, labels, seed, 0.2)[1] for seed in (1, 2)]
    for part in parts:
        assert abs(len(part) - 1000) < 6 * math.sqrt(5000 * 0.2 * 0.8)
    assert set(parts[0]) != set(parts[1])
    assert len(split_by_content(inputs, labels, 1, 0.0)[1]) == 0


def test_seeds_of_another_length_are_refused() -> None:
    spec = spec_of(SHARED)
    with pytest.raises(SecureFlowError) as refused:
        split_sums(spec, "train", np.array([1.0, *[-1.0] * 8]))
    assert refused.value.code == "noise_seed_malformed"
    with pytest.raises(SecureFlowError) as heavy:
        split_sums(spec, "train", np.array([2.0, *[1.0] * 8]))
    assert heavy.value.code == "weight_out_of_bounds"


def test_share_and_whole_noise_differ_only_by_the_share() -> None:
    """The enclave's noise and a party's share are one function: the spec decides the width."""
    shared, once = spec_of(SHARED), spec_of({})
    assert shared.privacy
    assert once.privacy
    part = shared.privacy.share(4)
    assert part == pytest.approx(1 / math.sqrt(2))
    seed = b"t" * 32
    own = hashlib.sha256(b"secureflow noise\nsum\n" + seed).digest()
    width = once.privacy.sigma(4)
    assert (noise_of(once, "train", seed) == sample(width, 4, own)).all()
    assert (noise_of(shared, "train", seed) == sample(width * part, 4, own)).all()


@pytest.mark.parametrize(
    ("noise", "parties", "variance"),
    [("enclave", 4, 1.0), ("shared", 4, 2.0), ("shared", 3, 1.5), ("local", 4, 4.0)],
)
def test_the_errors_count_the_noise_of_everybody_who_adds_some(
    noise: str, parties: int, variance: float
) -> None:
    """z = 8 moves a row's sums by 2: the count alone has an error of 16, times what is added."""
    spec = parse(TrainingSpec, private_value({"noise": noise, "metrics_noise": 8.0}))
    sums = [1.0, *np.zeros(model_family(spec).private_metric_count())]
    errors = metric_errors(spec, sums, parties)
    assert errors["rows"] == pytest.approx(16 * math.sqrt(variance), rel=0.01)
    assert metric_errors(spec, [1.0], parties) == {}
    silent = parse(TrainingSpec, private_value({"noise": noise}))
    assert metric_errors(silent, sums, parties) == {}
