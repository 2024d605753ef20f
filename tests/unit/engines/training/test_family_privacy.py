"""Every family under masks, and under differential privacy wherever the noise is added."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engines.training.family_world import (
    LEARNERS,
    federate,
    federate_masked,
    private,
    shares,
    spec,
    table,
)

from secureflow.adapters.frameworks import NumpyRunner
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import declared_moments, design_matrix
from secureflow.engines.preparation.encoded import BLOCK_CELLS
from secureflow.engines.training.federated import summarise
from secureflow.engines.training.models import initial_state, model_family
from secureflow.engines.training.private import METRIC_UNIT, private_delta
from secureflow.engines.training.ridge import Ridge
from secureflow.kit.errors import SecureFlowError
from tests.full import thinned

PLACEMENTS = ("enclave", "shared", "local")
MEASURED = pytest.mark.parametrize(("family", "target"), LEARNERS)


def prepared(job: TrainingSpec, rows: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    assert job.features is not None
    return design_matrix(job.features, declared_moments(job.features), rows)


def learning(family: str) -> dict[str, Any]:
    return {} if family == "ridge" else {"plan": {"rounds": 40, "learning_rate": 0.5}}


@MEASURED
def test_masked_is_sealed_up_to_the_quantisation(family: str, target: str, tmp_path: Path) -> None:
    parts = shares()
    state, sums = federate(spec(family, target), parts, tmp_path)
    masked, opened = federate_masked(spec(family, target, protection="secagg"), parts, tmp_path)
    assert np.allclose(state, masked, atol=1e-4)
    for name, value in summarise(spec(family, target), sums).items():
        told = summarise(spec(family, target), opened)[name]
        assert told == pytest.approx(value, rel=0.02, abs=0.02)


@MEASURED
@pytest.mark.parametrize("noise", thinned(PLACEMENTS, 3, pytest.mark.full))
def test_with_little_noise_a_private_model_learns(
    family: str, target: str, noise: str, tmp_path: Path
) -> None:
    more = learning(family)
    job = spec(family, target, **more, **private(noise, 0.1, clipping_norm=4.0))
    run = federate_masked if noise == "shared" else federate
    _, sums = run(job, shares(), tmp_path)
    told = summarise(job, sums)
    assert told["rows"] == pytest.approx(60, abs=35)
    if target == "number":
        assert told["r2"] > 0.15
    else:
        assert told["accuracy"] > 0.6


@MEASURED
@pytest.mark.parametrize("noise", PLACEMENTS)
def test_no_row_can_make_a_private_party_fail(
    family: str, target: str, noise: str, tmp_path: Path
) -> None:
    weight = {"weight": {"column": "count", "bounds": [0, 2]}}
    job = spec(family, target, features=weight, **private(noise))
    rows = {name: cells.astype(object) for name, cells in table(40).items()}
    nasty = [None, "zebra", float("nan"), float("inf"), -float("inf"), "", [], 10**400, "1e999"]
    for at, cell in enumerate(nasty):
        for shift, name in enumerate(rows):
            rows[name][(at + 3 * shift) % 40] = cell
    runner = NumpyRunner(job, rows)
    initial_state(job).tofile(tmp_path / "model")
    sums = runner.train(tmp_path / "model", tmp_path / "delta", None, bytes(32))
    assert np.isfinite(np.fromfile(tmp_path / "delta", "<f4")).all()
    assert sums[0] == 1.0
    assert np.isfinite(runner.evaluate(tmp_path / "model", None, bytes(32))).all()


@MEASURED
def test_a_rows_clipped_part_depends_on_that_row_alone_to_the_last_bit(
    family: str, target: str
) -> None:
    """A sum of one row is that row's part, wherever it stands and whoever stands beside it."""
    more = {"model": {"activation": "tanh"}} if family == "mlp" else {}
    job = spec(family, target, **more)
    inputs, labels = (one.astype(np.float64) for one in prepared(job, table(33)))
    rng = np.random.default_rng(4)
    model, parameters = model_family(job), rng.normal(0, 3, job.parameters)
    alone = model.clipped_sum(parameters, inputs[:1], labels[:1], 0.5, None)
    for count in (2, 3, 8, 17, 33):
        # The others' parts are cleared by a weight of 0: what is left is the first row's.
        for place in (0, count // 2, count - 1):
            order = np.roll(np.arange(count), place)
            weights = (order == 0).astype(np.float64)
            found = model.clipped_sum(parameters, inputs[order], labels[order], 0.5, weights)
            assert found.tobytes() == alone.tobytes() or (found == alone).all()


@MEASURED
@settings(max_examples=15, deadline=None)
@given(row=st.integers(0, 39), clip=st.floats(1e-3, 100.0), scale=st.floats(1e-3, 1e3))
def test_one_row_moves_the_clipped_sum_by_at_most_the_clip(
    family: str, target: str, row: int, clip: float, scale: float
) -> None:
    job = spec(family, target)
    inputs, labels = (one.astype(np.float64) for one in prepared(job, table(40)))
    parameters = np.random.default_rng(6).normal(0, scale, job.parameters)
    model, kept = model_family(job), np.arange(40) != row
    weights = np.random.default_rng(7).uniform(0, 5, 40)
    whole = model.clipped_sum(parameters, inputs, labels, clip, weights)
    less = model.clipped_sum(parameters, inputs[kept], labels[kept], clip, weights[kept])
    assert np.linalg.norm(whole - less) <= clip * (1 + 1e-9) + 1e-9 * np.linalg.norm(whole)


@MEASURED
def test_a_row_without_a_gradient_adds_nothing(family: str, target: str) -> None:
    job = spec(family, target)
    inputs, labels = (one.astype(np.float64) for one in prepared(job, table(20)))
    parameters = np.full(job.parameters, 1e300)
    found = model_family(job).clipped_sum(parameters, inputs, labels, 1.0, None)
    assert np.isfinite(found).all()


@MEASURED
def test_one_row_moves_metric_steps_by_no_more_than_their_sensitivity(
    family: str, target: str
) -> None:
    job = spec(family, target)
    inputs, labels = prepared(job, table(60))
    for draw in range(20):
        rng = np.random.default_rng(draw)
        model = rng.normal(0, 3, job.parameters).astype(np.float32)
        found = model_family(job)
        whole = found.metric_steps(model, inputs, labels, METRIC_UNIT)
        kept = np.arange(60) != rng.integers(60)
        less = found.metric_steps(model, inputs[kept], labels[kept], METRIC_UNIT)
        assert np.linalg.norm(whole - less) <= 2 * METRIC_UNIT


def test_the_diagonal_of_a_noised_ridge_is_loaded_by_a_public_amount() -> None:
    job = spec("ridge", "number", **private("enclave", 5.0))
    assert job.privacy is not None
    state = np.zeros(job.parameters)
    from secureflow.engines.training.settling import loaded

    moved = loaded(job, state)
    size = 6
    diagonal = np.triu_indices(size)
    on = diagonal[0] == diagonal[1]
    amount = moved[: len(on)][on]
    width = job.privacy.sigma(job.parameters) * job.privacy.step / 300
    assert np.allclose(amount, 2 * size**0.5 * width)
    assert not moved[: len(on)][~on].any()
    assert not moved[len(on) :].any()


def test_noise_that_buries_the_sums_leaves_a_finite_ridge(tmp_path: Path) -> None:
    for number in range(5):
        job = spec("ridge", "number", **private("local", 20.0), plan={"seed": number})
        state, _ = federate(job, shares(), tmp_path)
        coefficients = Ridge(job).coefficients(state)
        assert np.isfinite(coefficients).all()
        assert float(np.abs(coefficients).max()) < 100


def test_the_penalty_of_a_private_step_leaves_intercepts_out() -> None:
    job = spec("softmax", "classes", model={"l2": 10.0}, **private("local", 0.1))
    nobody = np.zeros((0, 5), np.float32), np.zeros(0, np.float32)
    before = np.ones(job.parameters, np.float32)
    quiet = dataclasses.replace(job.privacy, clipping_norm=1e-6)  # type: ignore[type-var]
    delta = private_delta(dataclasses.replace(job, privacy=quiet), before, nobody, bytes(32))
    assert np.allclose(delta[:15], -0.3 * 10.0, atol=1e-3)
    assert np.allclose(delta[15:], 0.0, atol=1e-3)


@pytest.mark.parametrize(("family", "target"), [one for one in LEARNERS if one[0] != "ridge"])
@pytest.mark.parametrize("noise", ["enclave", "shared"])
def test_a_party_level_job_of_any_sgd_family_releases_finite_models(
    family: str, target: str, noise: str, tmp_path: Path
) -> None:
    unit = {"unit": "party", "mechanism": "central", "party_unit_acknowledged": True}
    more = private(noise, 0.1, **unit, metrics_noise=None, rows=0, delta=1e-2)
    job = spec(family, target, plan={"validation": 0.0, "local_epochs": 2}, **more)
    run = federate_masked if noise == "shared" else federate
    state, sums = run(job, shares(), tmp_path)
    assert np.isfinite(state).all()
    assert (state != initial_state(job)).any()
    assert sums == [3.0]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"plan": {"rounds": 2}}, "plan.rounds"),
        ({"limits": {"clip_norm": 5.0}}, "limits.clip_norm"),
        (
            {"protection": "secagg", "features": {"weight": {"column": "count", "bounds": [0, 9]}}},
            "quantisation.clip",
        ),
        (private("enclave", sampling=0.5), "privacy.sampling"),
        (private("enclave", unit="party", mechanism="central"), "privacy.unit"),
        (
            {"features": {"numeric": [{"column": "x0", "bounds": [0, 1]}], "categorical": []}},
            "features.x0.scale",
        ),
    ],
)
def test_ridge_refuses_what_would_falsify_its_sums(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        spec("ridge", "number", **changes)
    assert caught.value.code == "contradictory_spec"
    assert caught.value.details == {"field": field}


def test_how_many_rows_are_held_at_a_time_follows_from_what_the_model_holds_for_one(
    tmp_path: Path,
) -> None:
    """Else a job chooses layers so wide that the number of rows decides whether memory suffices."""
    wide = spec("mlp", "number", model={"hidden": [4096]}, **private("enclave"))
    runner = NumpyRunner(wide, shares()[0])
    assert runner._private_rows is not None
    for inputs, _ in runner._private_rows:
        assert inputs.block <= BLOCK_CELLS // (2 * 4096)
    narrow = NumpyRunner(spec("mlp", "number", **private("enclave")), shares()[0])
    assert narrow._private_rows is not None
    assert narrow._private_rows[0][0].block > 10 * BLOCK_CELLS // 4096
