"""Naive Bayes and k-means from sums: what pooled scikit-learn finds, sealed, masked and private."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engines.training.family_world import (
    federate,
    federate_masked,
    pooled,
    private,
    shares,
    table,
)
from unit.engines.training.sklearn_world import SUMMING, all_rows, job_of, prepared

from secureflow.adapters.frameworks import NumpyRunner
from secureflow.domain.specs.sum_rules import _change, _noised
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import weight_vector
from secureflow.engines.privacy.dpsgd import Gradients, gradient_sum, noisy_step
from secureflow.engines.training.bayes import gaussians, multinomials, unscaling
from secureflow.engines.training.clusters import centres_of, first_state, parts_of
from secureflow.engines.training.federated import summarise
from secureflow.engines.training.models import initial_state, model_family
from secureflow.engines.training.private import METRIC_UNIT, dp_sgd, penalised, privacy_of
from secureflow.engines.training.settling import noise_width, settled
from secureflow.kit.errors import SecureFlowError

sklearn = pytest.importorskip("sklearn", reason="needs the extra sklearn")
MEASURED = pytest.mark.parametrize(("family", "target"), SUMMING)
PLACEMENTS = ("enclave", "shared", "local")
WHOLE: dict[str, Any] = {"plan": {"validation": 0.0}}


def counts_of(job: TrainingSpec, inputs: np.ndarray) -> np.ndarray:
    assert job.features is not None
    scale, shift = unscaling(job.features)
    return np.maximum(inputs * scale + shift, 0.0)


@pytest.mark.parametrize("target", ["binary", "classes"])
@pytest.mark.parametrize("counted", [False, True])
def test_gaussian_bayes_is_that_of_the_pooled_rows(
    target: str, counted: bool, tmp_path: Path
) -> None:
    from sklearn.naive_bayes import GaussianNB

    weight = {"features": {"weight": {"column": "count", "bounds": [0, 2]}}} if counted else {}
    job = job_of("gaussian_nb", target, model={"var_smoothing": 0.01}, **WHOLE, **weight)
    state, _ = federate(job, shares(), tmp_path)
    inputs, labels = all_rows(job)
    assert job.features is not None
    weights = weight_vector(job.features, pooled(shares()))
    theirs = GaussianNB(var_smoothing=0.01).fit(inputs, labels, weights)
    mine = gaussians(job, state)
    np.testing.assert_allclose(mine.mean, theirs.theta_, atol=1e-6)
    np.testing.assert_allclose(mine.prior, theirs.class_prior_, atol=1e-6)
    # Of weighted rows scikit-learn smooths by the variance of unweighted ones.
    np.testing.assert_allclose(mine.variance, theirs.var_, atol=2e-4 if counted else 1e-6)
    assert counted or mine.smoothing == pytest.approx(theirs.epsilon_, rel=1e-4)


@pytest.mark.parametrize("target", ["binary", "classes"])
@pytest.mark.parametrize("protection", ["sealed", "secagg"])
def test_multinomial_bayes_is_that_of_the_pooled_counts(
    target: str, protection: str, tmp_path: Path
) -> None:
    from sklearn.naive_bayes import MultinomialNB

    job = job_of("multinomial_nb", target, model={"alpha": 0.5}, protection=protection, **WHOLE)
    run = federate if protection == "sealed" else federate_masked
    state, _ = run(job, shares(), tmp_path)
    inputs, labels = all_rows(job)
    theirs = MultinomialNB(alpha=0.5).fit(counts_of(job, inputs), labels)
    close = 1e-5 if protection == "sealed" else 1e-3
    mine = multinomials(job, state)
    np.testing.assert_allclose(mine.log_prob, theirs.feature_log_prob_, atol=close)
    np.testing.assert_allclose(np.log(mine.prior), theirs.class_log_prior_, atol=close)


@pytest.mark.parametrize("protection", ["sealed", "secagg"])
def test_a_party_that_drops_out_takes_nothing_of_alpha_along(
    protection: str, tmp_path: Path
) -> None:
    """It is added once, after the sum: the model is that of scikit-learn on the rows that came."""
    from sklearn.naive_bayes import MultinomialNB

    job = job_of("multinomial_nb", "classes", model={"alpha": 40.0}, protection=protection, **WHOLE)
    run = federate if protection == "sealed" else federate_masked
    came = shares()[:2]
    state, _ = run(job, came, tmp_path)
    inputs, labels = prepared(job, pooled(came))
    theirs = MultinomialNB(alpha=40.0).fit(counts_of(job, inputs), labels)
    close = 1e-5 if protection == "sealed" else 1e-3
    mine = multinomials(job, state)
    np.testing.assert_allclose(mine.log_prob, theirs.feature_log_prob_, atol=close)


@pytest.mark.parametrize("protection", ["sealed", "secagg"])
def test_k_means_is_lloyds_iteration_on_the_pooled_rows(protection: str, tmp_path: Path) -> None:
    from sklearn.cluster import KMeans

    job = job_of("kmeans", "none", protection=protection, **WHOLE)
    run = federate if protection == "sealed" else federate_masked
    state, _ = run(job, shares(), tmp_path)
    inputs, _ = all_rows(job)
    first, _, _ = parts_of(job, first_state(job))
    rounds = job.plan.rounds
    theirs = KMeans(3, init=first, n_init=1, max_iter=rounds, tol=0).fit(inputs.astype(float))
    assert min(np.bincount(theirs.labels_, minlength=3)) > 0  # it moves empty clusters
    close = 1e-5 if protection == "sealed" else 1e-3
    np.testing.assert_allclose(centres_of(job, state), theirs.cluster_centers_, atol=close)


@pytest.mark.parametrize("protection", ["sealed", "secagg"])
def test_an_empty_cluster_keeps_its_centre(protection: str, tmp_path: Path) -> None:
    job = job_of("kmeans", "none", model={"clusters": 40}, protection=protection, **WHOLE)
    run = federate if protection == "sealed" else federate_masked
    state, _ = run(job, shares(), tmp_path)
    first, _, _ = parts_of(job, first_state(job))
    centres, counts, _ = parts_of(job, state)
    empty = counts <= 1e-5
    assert 0 < empty.sum() < 40
    never = empty & (np.abs(centres - first).max(axis=1) < 1e-4)
    assert never.any()
    np.testing.assert_allclose(centres_of(job, state)[empty], centres[empty], atol=1e-6)
    assert counts[~empty].sum() == pytest.approx(1.0, abs=1e-4)


def test_what_rounding_leaves_of_a_cluster_is_no_row() -> None:
    """A cluster that loses its rows has a mean change of minus its count, rounded under masks."""
    job = job_of("kmeans", "none")
    state = first_state(job)
    first, counts, sums = parts_of(job, state)
    counts[:], sums[:] = [4e-6, 0.5, 0.5], 3e-6
    left = np.concatenate([first.reshape(-1), counts, sums.reshape(-1)])
    centres = centres_of(job, left)
    assert np.array_equal(centres[0], first[0])
    assert np.allclose(centres[1:], 6e-6)


def test_the_first_centres_are_pinned_and_within_the_bounds() -> None:
    """Every party and the enclave draw them: other bits would be another model."""
    job = job_of("kmeans", "none")
    first = first_state(job)
    assert first.tobytes() == initial_state(job).tobytes()
    centres, counts, sums = parts_of(job, first)
    assert not counts.any()
    assert not sums.any()
    assert float(np.abs(centres[:, :2]).max()) <= 1.0
    assert (centres[:, 2:].sum(axis=1) == 1.0).all()  # one category each
    assert [float(one) for one in first[:3]] == PINNED
    other = dataclasses.replace(job, plan=dataclasses.replace(job.plan, seed=8))
    assert first.tobytes() != first_state(other).tobytes()


PINNED = [0.25019094347953796, 0.7944275736808777, 0.0]


def test_a_class_without_rows_is_never_predicted(tmp_path: Path) -> None:
    parts = shares()
    for part in parts:
        part["kind"] = np.where(part["kind"] == "c", "a", part["kind"]).astype(object)
    for family in ("gaussian_nb", "multinomial_nb"):
        job = job_of(family, "classes", **WHOLE)
        state, _ = federate(job, parts, tmp_path)
        outputs = model_family(job).outputs(state, all_rows(job)[0])
        assert np.isfinite(outputs).all()
        assert set(outputs.argmax(axis=1)) <= {0, 1}


def test_a_model_without_any_row_is_finite() -> None:
    for family, target in SUMMING:
        job = job_of(family, target)
        outputs = model_family(job).outputs(initial_state(job), all_rows(job)[0])
        assert np.isfinite(outputs).all()


@MEASURED
def test_training_is_bit_equal_when_repeated(family: str, target: str) -> None:
    job = job_of(family, target)
    inputs, labels = all_rows(job)
    model, start = model_family(job), initial_state(job)
    first = model.train(job, start, inputs, labels, b"a" * 32)
    again = model_family(job).train(job, start.copy(), inputs.copy(), labels, b"b" * 32)
    assert first.tobytes() == again.tobytes()
    assert model.reproducible


@MEASURED
def test_masked_is_sealed_up_to_the_quantisation(family: str, target: str, tmp_path: Path) -> None:
    sealed, sums = federate(job_of(family, target), shares(), tmp_path)
    job = job_of(family, target, protection="secagg")
    masked, opened = federate_masked(job, shares(), tmp_path)
    assert np.allclose(sealed, masked, atol=1e-4)
    for name, value in summarise(job, sums).items():
        assert summarise(job, opened)[name] == pytest.approx(value, rel=0.02, abs=0.02)


# --- differential privacy ------------------------------------------------------------------------


@MEASURED
@pytest.mark.parametrize("noise", PLACEMENTS)
def test_with_little_noise_a_private_model_is_the_exact_one(
    family: str, target: str, noise: str, tmp_path: Path
) -> None:
    job = job_of(family, target, **private(noise, 0.1, clipping_norm=4.0))
    run = federate_masked if noise == "shared" else federate
    noised, told = run(job, shares(), tmp_path)
    plain = job_of(family, target)
    exact, _ = federate(plain, shares(), tmp_path)
    model, rows = model_family(plain), all_rows(plain)
    figures = [
        summarise(plain, [1.0, *model.metric_sums(plain, state, *rows)])
        for state in (noised, exact)
    ]
    assert figures[0]["loss"] == pytest.approx(figures[1]["loss"], abs=0.1)
    if target != "none":
        assert figures[0]["accuracy"] == pytest.approx(figures[1]["accuracy"], abs=0.08)
    assert summarise(job, told)["rows"] == pytest.approx(60, abs=35)


@MEASURED
@pytest.mark.parametrize("noise", PLACEMENTS)
def test_no_row_can_make_a_private_party_fail(
    family: str, target: str, noise: str, tmp_path: Path
) -> None:
    job = job_of(family, target, **private(noise))
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
def test_noise_that_buries_the_sums_leaves_a_finite_model(
    family: str, target: str, tmp_path: Path
) -> None:
    for number in range(3):
        job = job_of(family, target, **private("local", 20.0), plan={"seed": number})
        state, _ = federate(job, shares(), tmp_path)
        assert np.isfinite(model_family(job).outputs(state, all_rows(job)[0])).all()


@MEASURED
@settings(max_examples=15, deadline=None)
@given(row=st.integers(0, 39), clip=st.floats(1e-3, 100.0), scale=st.floats(1e-3, 1e3))
def test_one_row_moves_the_clipped_sum_by_at_most_the_clip(
    family: str, target: str, row: int, clip: float, scale: float
) -> None:
    job = job_of(family, target)
    inputs, labels = (one.astype(np.float64) for one in prepared(job, table(40)))
    parameters = np.random.default_rng(6).normal(0, scale, job.parameters)
    model, kept = model_family(job), np.arange(40) != row
    weights = np.random.default_rng(7).uniform(0, 5, 40)
    whole = model.clipped_sum(parameters, inputs, labels, clip, weights)
    less = model.clipped_sum(parameters, inputs[kept], labels[kept], clip, weights[kept])
    assert np.linalg.norm(whole - less) <= clip * (1 + 1e-9) + 1e-9 * np.linalg.norm(whole)


@MEASURED
@pytest.mark.parametrize("noise", PLACEMENTS)
@pytest.mark.parametrize("cell", [1.0, -1.0, 1e3, 3e38, -3e38, 1e-30])
def test_an_extreme_row_moves_noised_sums_by_no_more_than_noise_is_made_for(
    family: str, target: str, noise: str, cell: float
) -> None:
    """Whatever is in it, within the columns' bounds or not, and however much it counts."""
    job = job_of(family, target, **private(noise))
    privacy, plan, seed = privacy_of(job), dp_sgd(job), b"\x05" * 32
    inputs, labels = prepared(job, table(40))
    more = np.vstack([inputs, np.full((1, inputs.shape[1]), cell, np.float32)])
    counts = np.append(np.ones(40), 1e6).astype(np.float32)
    before = initial_state(job).astype(np.float64)

    def summed(rows: np.ndarray) -> np.ndarray:
        count = len(rows)
        gradients = Gradients(model_family(job).clipped_sum, counts[:count], penalised(job))
        given = before, rows, np.append(labels, labels[:1])[:count], plan, seed
        if noise == "local":
            return noisy_step(*given, gradients) * plan.rows * plan.sampling
        return gradient_sum(*given, gradients=gradients)

    moved = np.linalg.norm(summed(more) - summed(inputs))
    made_for = privacy.sigma(job.model_parameters) * privacy.step / privacy.multiplier
    assert 0.9 * privacy.clipping_norm < moved <= made_for * (1 + 1e-9)


@MEASURED
@pytest.mark.parametrize("masked", [False, True])
def test_noised_sums_that_would_be_clipped_are_refused(
    family: str, target: str, masked: bool
) -> None:
    """A party's own noise makes them longer than rows alone would."""
    more: dict[str, Any] = private("local", 8.0, clipping_norm=4.0, rows=100)
    if masked:
        more |= {"protection": "secagg"}
        field, part = "quantisation.clip", {"quantisation": {"clip": 6.0}}
    else:
        field, part = "limits.clip_norm", {"limits": {"clip_norm": 15.0}}
    assert job_of(family, target, **part, protection=more["protection"])  # without noise they fit
    with pytest.raises(SecureFlowError) as caught:
        job_of(family, target, **more, **part)
    assert caught.value.details == {"field": field}


@MEASURED
def test_noised_sums_fit_what_a_spec_must_allow(family: str, target: str, tmp_path: Path) -> None:
    """Of a party that has all rows, at the ends of their bounds."""
    rows = {name: cells.copy() for name, cells in table(300).items()}
    rows |= {"x0": np.full(300, -1.0), "x1": np.ones(300), "count": np.full(300, 2.0)}
    for number in range(5):
        job = job_of(family, target, **private("local", 4.0, clipping_norm=4.0))
        assert job.features is not None
        longest = _change(job, job.features, _noised(job, job.features, privacy_of(job)))
        runner = NumpyRunner(job, rows)
        state = initial_state(job)
        for _ in range(2 if family == "kmeans" else 1):
            state.tofile(tmp_path / "model")
            runner.train(tmp_path / "model", tmp_path / "delta", None, bytes([number]) * 32)
            delta = np.fromfile(tmp_path / "delta", "<f4")
            assert np.linalg.norm(delta) <= longest.norm
            assert np.abs(delta).max() <= longest.coordinate
            assert np.linalg.norm(delta) > 0.1 * longest.norm or family == "kmeans"
            state = state + delta


@MEASURED
def test_a_rows_clipped_part_depends_on_that_row_alone_to_the_last_bit(
    family: str, target: str
) -> None:
    job = job_of(family, target)
    inputs, labels = (one.astype(np.float64) for one in prepared(job, table(33)))
    model, parameters = model_family(job), np.random.default_rng(4).normal(0, 3, job.parameters)
    alone = model.clipped_sum(parameters, inputs[:1], labels[:1], 0.5, None)
    for count in (2, 3, 8, 17, 33):
        for place in (0, count // 2, count - 1):
            order = np.roll(np.arange(count), place)
            weights = (order == 0).astype(np.float64)
            found = model.clipped_sum(parameters, inputs[order], labels[order], 0.5, weights)
            assert (found == alone).all()


@MEASURED
def test_one_row_moves_metric_steps_by_no_more_than_their_sensitivity(
    family: str, target: str
) -> None:
    job = job_of(family, target)
    inputs, labels = prepared(job, table(60))
    for draw in range(20):
        rng = np.random.default_rng(draw)
        model = rng.normal(0, 3, job.parameters).astype(np.float32)
        found = model_family(job)
        whole = found.metric_steps(model, inputs, labels, METRIC_UNIT)
        kept = np.arange(60) != rng.integers(60)
        less = found.metric_steps(model, inputs[kept], labels[kept], METRIC_UNIT)
        assert np.linalg.norm(whole - less) <= 2 * METRIC_UNIT


@pytest.mark.parametrize("noise", PLACEMENTS)
def test_noised_sums_replace_the_state_and_get_a_public_amount(noise: str) -> None:
    job = job_of("gaussian_nb", "binary", **private(noise, 5.0))
    assert job.privacy is not None
    before, means = np.full(job.parameters, 3.0), np.linspace(-1, 1, job.parameters)
    found = settled(job, before, before + means)
    squares = np.concatenate([np.full(one.size, one.name == "squares") for one in job.tensors])
    width = noise_width(job, job.privacy)
    assert width > 0
    assert np.allclose(found - means, 4 * width * squares)


def test_a_noised_count_below_the_noise_is_no_row() -> None:
    job = job_of("kmeans", "none", **private("enclave", 5.0))
    assert job.privacy is not None
    before = first_state(job)
    centres, counts, sums = parts_of(job, before)
    least = 4 * noise_width(job, job.privacy)
    counts[:] = [0.9 * least, 1.1 * least, 0.5]
    sums[:] = 0.2
    moved = np.concatenate([np.full(centres.size, 9.0), counts, sums.reshape(-1)])
    after = settled(job, before, before + moved)
    kept, told, added = parts_of(job, after)
    assert np.array_equal(kept, centres_of(job, before))  # not the noise beside them
    assert told.tolist() == pytest.approx([0.0, 1.1 * least, 0.5])
    assert not added[0].any()
    assert np.array_equal(centres_of(job, after)[0], centres[0])


@pytest.mark.parametrize(
    ("family", "target", "more", "field"),
    [
        ("gaussian_nb", "binary", {"plan": {"rounds": 2}}, "plan.rounds"),
        ("kmeans", "none", {"plan": {"local_epochs": 2}}, "plan.local_epochs"),
        ("kmeans", "binary", {}, "model.family"),
        ("gaussian_nb", "number", {}, "model.family"),
        ("gaussian_nb", "none", {}, "features.label"),
        ("kmeans", "none", {"features": {"numeric": [{"column": "x0", "bounds": [0, 1]}]}},
         "features.x0.scale"),
        ("multinomial_nb", "binary", {"features": {"numeric": [
            {"column": "x0", "bounds": [-1, 1], "scale": "bounds"}]}}, "features.x0.bounds"),
        ("gaussian_nb", "binary", {"plan": {"keep": "best"}}, "plan.keep"),
        ("gaussian_nb", "binary", {"wire": "float16"}, "wire"),
        ("gaussian_nb", "binary", {"limits": {"clip_norm": 3.0}}, "limits.clip_norm"),
        ("kmeans", "none", {"limits": {"clip_norm": 10.0}}, "limits.clip_norm"),
        ("gaussian_nb", "binary", {"protection": "secagg", "quantisation": {"clip": 0.9}},
         "quantisation.clip"),
        ("kmeans", "none", {"protection": "secagg", "quantisation": {"clip": 1.9}},
         "quantisation.clip"),
        ("kmeans", "none", {"protection": "secagg", "quantisation": {"bits": 16}},
         "quantisation.bits"),
        ("multinomial_nb", "binary", {"limits": {"clip_norm": 2.0}}, "limits.clip_norm"),
        ("kmeans", "none", private("enclave", rows=20_000), "privacy.bits"),
        ("gaussian_nb", "binary", private("enclave", sampling=0.5), "privacy.sampling"),
        ("kmeans", "none", private("local", local_steps=2), "privacy.sampling"),
        ("kmeans", "none", private("enclave", unit="party", mechanism="central", metrics_noise=None,
                                   party_unit_acknowledged=True), "privacy.unit"),
        ("gaussian_nb", "binary",
         {"resume": {"job": "job_0123456789", "round": 1, "model": "ab" * 32}}, "resume"),
    ],
)  # fmt: skip
def test_contradictions_are_named(
    family: str, target: str, more: dict[str, Any], field: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        job_of(family, target, **more)
    assert caught.value.code == "contradictory_spec"
    assert caught.value.details == {"field": field}


def test_no_update_within_the_bounds_is_clipped() -> None:
    """The caps that a spec must have hold the longest update of rows at their bounds."""
    rows = {name: cells[:4] for name, cells in table(40).items()}
    rows |= {"x0": np.full(4, -1.0), "x1": np.full(4, 1.0)}
    job = job_of("kmeans", "none", **WHOLE)
    inputs, labels = prepared(job, rows)
    model = model_family(job)
    before = initial_state(job)
    after = model.train(job, before, inputs, labels, b"")
    longest = 2 * np.sqrt(1 + 5) + 2 * np.sqrt(3 * 5)
    assert np.linalg.norm(after - before) <= longest
    again = model.train(job, after, inputs, labels, b"")
    assert np.linalg.norm(again - after) <= longest


def test_k_means_may_start_from_a_state() -> None:
    resumed = {"job": "job_0123456789", "round": 1, "model": "ab" * 32}
    assert job_of("kmeans", "none", resume=resumed).starts_from == "ab" * 32
