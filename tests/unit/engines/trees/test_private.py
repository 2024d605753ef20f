"""Trees under differential privacy: what a row moves, what is noised, what is grown from noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.engines.training.family_world import (
    _added,
    federate,
    federate_masked,
    seed,
    shares,
    table,
)
from unit.engines.trees.private_world import made, noised_of, private_job, states_of
from unit.engines.trees.test_growing import ALL, KEPT
from unit.engines.trees.trees_world import job_of

from secureflow.adapters.frameworks import runner_of
from secureflow.agent.kinds.training.verification import check_private_update
from secureflow.domain.specs.training import TrainingSpec
from secureflow.enclave.models import GlobalModel
from secureflow.enclave.training import TRAINING_ENCLAVE
from secureflow.enclave.trainingfolds import training_fold
from secureflow.engines.sealing import OpenedUpdate
from secureflow.engines.training.models import initial_state, update_layout
from secureflow.engines.training.noising import noise_of
from secureflow.engines.training.private import charge
from secureflow.engines.training.spending import releases
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.growing import next_model, open_nodes
from secureflow.engines.trees.layout import KIND, VALUE, Layout, parts_of, split_sums
from secureflow.engines.trees.private import cap, check_capped, consistent, noised_edges
from secureflow.engines.trees.rows import Rows
from secureflow.kit.errors import SecureFlowError

NOTHING: dict[str, Any] = {"plan": ALL, "privacy": {"metrics_noise": None}}


def without(rows: dict[str, np.ndarray], at: int) -> dict[str, np.ndarray]:
    return {name: np.delete(cells, at) for name, cells in rows.items()}


@pytest.mark.parametrize(
    ("target", "more"),
    [
        ("binary", {}),
        ("number", {}),
        ("number", {"privacy": {"clipping_norm": 0.3}}),
        ("binary", {"privacy": {"clipping_norm": 0.4}}),
        ("binary", {"features": KEPT}),
        ("binary", {"model": {"base_score": 0.999}}),
    ],
)
def test_a_row_moves_every_release_by_what_is_charged(
    target: str, more: dict[str, Any], tmp_path: Path
) -> None:
    """Exactly: rows are whole steps, so nothing is rounded after they are added up."""
    privacy = {"metrics_noise": None, **more.get("privacy", {})}
    job = private_job(target, **{**more, "plan": ALL, "privacy": privacy})
    rows = shares()[1]
    if "features" in more:
        rows = {**rows, "x0": np.where(np.arange(100) % 3 == 0, np.nan, rows["x0"])}
    longest = 0.0
    for state in states_of(job, tmp_path)[:-1]:
        whole = made(job, rows, state, tmp_path)
        for at in range(0, 100, 9):
            moved = whole - made(job, without(rows, at), state, tmp_path)
            longest = max(longest, float(np.sqrt(np.sum(moved.astype(float) ** 2))))
    assert longest <= 2**10
    assert longest > 2**10 * (0.1 if "base_score" in str(more) else 0.5)


def test_a_category_costs_one_place_and_not_one_for_each_indicator(tmp_path: Path) -> None:
    """Three indicators: one of them, their node's total, and two numbers, in g and in h each."""
    job = private_job(**NOTHING)
    state = states_of(job, tmp_path)[1]
    rows = shares()[1]
    moved = made(job, rows, state, tmp_path) - made(job, without(rows, 5), state, tmp_path)
    assert np.count_nonzero(moved) == 2 * 4


def test_the_node_follows_from_its_total_and_the_cells_of_ones(tmp_path: Path) -> None:
    """Without noise the histograms are those of a job without privacy, in other steps."""
    job = private_job(**NOTHING)
    layout, rows = layout_of(job), shares()[1]
    exact = Layout(**{**vars(layout), "noised": None})
    state = states_of(job, tmp_path)[1]
    sums = made(job, rows, state, tmp_path)
    inputs = np.stack([rows["x0"], rows["x1"], *(rows["word"] == one for one in "lmr")], axis=1)
    plain = Rows(exact, inputs.astype(np.float32), (rows["y"] == "yes").astype(np.float32))
    both = zip(split_sums(layout, sums), split_sums(layout, plain.sums(state)), strict=True)
    for own, known in both:
        found = consistent(layout, own[:1])[0] / layout.unit
        np.testing.assert_allclose(found, known[0] / exact.unit, atol=100 * 0.5 / layout.unit)


def test_what_is_consistent_is_the_nearest_and_adds_up() -> None:
    layout = layout_of(private_job(**NOTHING))
    draws = np.random.default_rng(2).integers(-1000, 1000, (5, layout.cells))
    found = consistent(layout, draws)
    totals = np.add.reduceat(found, layout.offsets, axis=1)
    assert (totals == totals[:, :1]).all()
    bins = layout.model.bins + 1
    own = [draws[:, at : at + bins].sum(axis=1) for at in layout.offsets[: layout.numbers]]
    weighed = (sum(own) / bins + draws[:, layout.numbers * bins]) / (layout.numbers / bins + 1)
    np.testing.assert_allclose(totals[:, 0], weighed, atol=1.0)  # by their noise
    change = found[:, :bins] - draws[:, :bins]
    assert (change.max(axis=1) - change.min(axis=1) <= 1).all()


def update(job: TrainingSpec, histograms: np.ndarray, rows: float = 1.0) -> OpenedUpdate:
    sums = np.zeros(update_layout(job).sums)
    sums[0] = rows
    return OpenedUpdate(None, "", {"parameters": histograms, "sums": sums})  # type: ignore[arg-type]


def test_the_enclave_noises_every_round_before_it_grows(tmp_path: Path) -> None:
    job = private_job(multiplier=20.0, **NOTHING)
    state = states_of(job, tmp_path)[0]
    sums = [made(job, one, state, tmp_path) for one in shares()]
    for drawn in (b"\x01" * 32, b"\x02" * 32):
        model = GlobalModel.of(state.copy())
        fold = training_fold(job, "train", None)
        TRAINING_ENCLAVE.starts(fold, model)
        for one in sums:
            assert len(fold.fold(update(job, one))) == 32
        noise = noise_of(job, "train", drawn)
        fold.advance(model, lambda drawn=drawn: drawn)  # type: ignore[misc]
        wanted = next_model(layout_of(job), state, np.sum(sums, axis=0) + noise)
        np.testing.assert_array_equal(model.parameters, wanted)
        assert not np.array_equal(
            model.parameters, next_model(layout_of(job), state, np.sum(sums, axis=0))
        )
    assert noise.std() == pytest.approx(20 * 2**10, rel=0.2)


def test_a_party_that_sends_more_than_the_declared_rows_is_refused(tmp_path: Path) -> None:
    job = private_job(**NOTHING)
    layout, steps, states = layout_of(job), noised_of(job).steps, states_of(job, tmp_path)
    for state, cell, value in (
        (states[0], 0, 300 * steps.count + 1),
        (states[0], 0, -1),
        (states[1], 0, 300 * steps.slope + 1),
        (states[1], 0, -300 * steps.slope - 1),
        (states[1], layout.widest * layout.cells, 300 * steps.curve + 1),
        (states[1], layout.widest * layout.cells, -1),
        (states[1], layout.offsets[-1], 1),  # a cell that no row is in
        (states[1], layout.widest * layout.cells + layout.offsets[-1], 1),
        (states[1], layout.length - 1, 1),
    ):
        fold = training_fold(job, "train", None)
        TRAINING_ENCLAVE.starts(fold, GlobalModel.of(state))
        sums = np.zeros(layout.length, np.int64)
        fold.fold(update(job, sums))
        sums[cell] = value
        with pytest.raises(SecureFlowError) as caught:
            fold.fold(update(job, sums))
        assert caught.value.code == "value_out_of_bounds"
        sums[cell] -= np.sign(value)
        fold.fold(update(job, sums))
    with pytest.raises(SecureFlowError, match="each weighs 1"):
        fold.fold(update(job, sums, rows=100.0))


def test_an_agent_sends_nothing_of_its_worker_beyond_the_declared_rows() -> None:
    job = private_job(noise="shared", **NOTHING)
    layout, steps = layout_of(job), noised_of(job).steps
    sums = np.concatenate([[1.0], np.arange(8.0)])
    for number, cell, value in (
        (1, 0, 300 * steps.count),
        (2, 0, -300 * steps.slope),
        (2, layout.widest * layout.cells, 300 * steps.curve),
    ):
        sent = np.zeros(layout.length, np.int64)
        for beyond in (0, 1):
            sent[cell] = value + beyond * np.sign(value)
            told = memoryview(sent.tobytes() + sums.tobytes())
            if not beyond:
                check_private_update(job, "train", number, told)
                continue
            with pytest.raises(SecureFlowError) as caught:
                check_private_update(job, "train", number, told)
            assert caught.value.code == "value_out_of_bounds"


def test_more_rows_than_are_declared_are_no_refusal(tmp_path: Path) -> None:
    """Cut cell by cell, which moves neighbours no further apart; nobody sees it."""
    job = private_job(plan=ALL, privacy={"metrics_noise": None, "rows": 40, "delta": 1e-3})
    rows = {name: np.repeat(cells[:1], 100) for name, cells in table().items()}
    layout, noised = layout_of(job), noised_of(job)
    for at, state in enumerate(states_of(job, tmp_path)[:3]):
        sums = made(job, rows, state, tmp_path)
        whole = sums.copy()
        cap(layout, noised, whole, known=at > 0)
        np.testing.assert_array_equal(sums, whole)
        fold = training_fold(job, "train", None)
        TRAINING_ENCLAVE.starts(fold, GlobalModel.of(state))
        fold.fold(update(job, sums))
        if at == 0:
            assert sums.max() == 40 * noised.steps.count


@pytest.mark.parametrize("target", ["binary", "number"])
def test_under_masks_each_party_brings_its_share_of_the_noise(target: str, tmp_path: Path) -> None:
    """The published sum is that of all parts and shares; all grow the same model from it."""
    job = private_job(target, "shared", **NOTHING)
    state, _ = federate_masked(job, shares(), tmp_path)
    assert parts_of(layout_of(job), state).done == 3
    again, _ = federate_masked(job, shares(), tmp_path)
    np.testing.assert_array_equal(state, again)  # a share follows from the party's seed
    sealed, _ = federate(private_job(target, **NOTHING), shares(), tmp_path)
    assert not np.array_equal(state, sealed)


def test_trees_of_little_noise_learn(tmp_path: Path) -> None:
    plan = {"rounds": 8, "validation": 0.2}
    for job in (private_job(plan=plan), private_job(noise="shared", plan=plan)):
        train = federate if job.protection == "sealed" else federate_masked
        _, sums = train(job, shares(), tmp_path)
        assert sums[0] == 3.0  # weights: nobody tells rows
        assert sums[2] / sums[1] < 0.6  # the loss of a row


def test_noise_alone_grows_finite_trees(tmp_path: Path) -> None:
    """Whatever is drawn: no leaf is divided by next to nothing, no node is opened by noise."""
    for reg_lambda in (0.0, 1.0):
        job = private_job(
            multiplier=50.0, plan=ALL, privacy={"metrics_noise": None, "bits": 9},
            model={"reg_lambda": reg_lambda, "min_child_weight": 1e-9},
        )  # fmt: skip
        layout, state = layout_of(job), initial_state(job)
        for number in range(job.planned_rounds):
            state = next_model(layout, state, noise_of(job, "train", bytes([number]) * 32))
            assert len(open_nodes(layout, parts_of(layout, state))) <= 1
        values = parts_of(layout, state).nodes
        assert np.abs(values[:, :, 3]).max() <= 0.5 * 40 / 4  # η · a node's σ over its least weight
    extreme = np.full(layout.length, noised_of(job).support)
    for sums in (extreme, -extreme):
        assert np.isfinite(next_model(layout, next_model(layout, state * 0, sums), sums)).all()


def rooted(layout: Layout, gradient: int, second: int) -> np.ndarray:
    """Sums of a root of which every input says the same, all of its rows in the first cells."""
    sums = np.zeros(layout.length, np.int64)
    for cells, value in zip(split_sums(layout, sums), (gradient, second), strict=True):
        cells[0, layout.offsets[: layout.numbers + 1]] = value
    return sums


def test_a_root_is_divided_by_no_less_than_its_noise() -> None:
    job = private_job(plan=ALL, privacy={"metrics_noise": None},
                      model={"reg_lambda": 0.0, "min_child_weight": 1e-9})  # fmt: skip
    layout = layout_of(job)
    state = next_model(layout, initial_state(job), np.zeros(layout.length, np.int64))
    for second in (1, 0, -7):
        found = next_model(layout, state, rooted(layout, 1000, second))
        value = parts_of(layout, found).nodes[0, 0, 3]
        assert value == pytest.approx(-0.5 * 1000 / layout.unit / layout.least, rel=1e-6)


def test_the_total_of_a_root_is_that_of_all_inputs_by_their_noise() -> None:
    """One input's cells alone would count the noise of them all."""
    job = private_job(plan=ALL, privacy={"metrics_noise": None}, model={"gamma": 1e6})
    layout = layout_of(job)
    state = next_model(layout, initial_state(job), np.zeros(layout.length, np.int64))
    sums = rooted(layout, 5000, 20_000)
    split_sums(layout, sums)[0][0, 0] += 9000  # noise of the first number
    found = next_model(layout, state, sums)
    bins = layout.model.bins + 1
    weighed = 5000 + 9000 // (layout.numbers + bins)
    expected = -0.5 * weighed / (20_000 + layout.unit)
    assert parts_of(layout, found).nodes[0, 0, 3] == pytest.approx(expected, rel=1e-3)


def test_a_side_of_little_more_than_noise_is_a_leaf() -> None:
    job = private_job(**NOTHING)
    layout = layout_of(job)
    counts = np.zeros(layout.length, np.int64)
    counts[: 2 * layout.fine] = 50
    state = next_model(layout, initial_state(job), counts)
    sums = rooted(layout, 0, 0)
    gradients, seconds = split_sums(layout, sums)
    left, right = (round(one * layout.least * layout.unit) for one in (1.5, 10.0))
    for at, second in ((0, left), (layout.model.bins - 1, right)):
        seconds[0, at] = second
        gradients[0, at] = second * (1 if at else -1)
    for at in layout.offsets[1 : layout.numbers + 1]:
        seconds[0, at], gradients[0, at] = left + right, right - left
    nodes = parts_of(layout, next_model(layout, state, sums)).nodes[0]
    assert nodes[0, KIND] > 0
    assert nodes[1:3, KIND].tolist() == [0.0, -1.0]
    # Only the leaf has a value: with an inner node's it would tell how the rows are shared out.
    assert (nodes[:3, VALUE] != 0).tolist() == [False, True, False]


def test_counts_have_no_cells_beyond_their_numbers() -> None:
    job = private_job(plan=ALL, privacy={"metrics_noise": None}, model={"bins": 2})
    layout, noised = layout_of(job), noised_of(job)
    sums = np.zeros(layout.length, np.int64)
    sums[-1] = 1
    with pytest.raises(SecureFlowError, match="beyond the declared rows"):
        check_capped(layout, noised, sums, known=False)


def test_edges_of_noise_alone_are_of_equal_widths() -> None:
    layout = layout_of(private_job(**NOTHING))
    counts = np.full((2, layout.fine), -5).reshape(-1)
    np.testing.assert_allclose(noised_edges(layout, counts)[0], np.linspace(-0.75, 0.75, 7))


def test_a_release_beyond_rows_and_noise_is_refused() -> None:
    """By whoever grows from it: the enclave, the centre, and each agent."""
    for noise in ("enclave", "shared"):
        job = private_job(noise=noise, **NOTHING)
        layout, noised, state = layout_of(job), noised_of(job), initial_state(job)
        known = next_model(layout, state, np.zeros(layout.length, np.int64))
        steps, curved = noised.steps, layout.widest * layout.cells
        for start, cell, most, least in (
            (state, 0, 900 * steps.count, 0),
            (state, layout.numbers * layout.fine - 1, 900 * steps.count, 0),
            (known, 0, 900 * steps.slope, -900 * steps.slope),
            (known, curved, 900 * steps.curve, 0),
            (known, int(layout.offsets[-1]), 0, 0),
            (known, layout.length - 1, 0, 0),
        ):
            for value, by in ((most + noised.support, 1), (least - noised.support, -1)):
                sums = np.zeros(layout.length, np.int64)
                sums[cell] = value
                next_model(layout, start, sums)
                sums[cell] += by
                with pytest.raises(SecureFlowError) as caught:
                    next_model(layout, start, sums)
                assert caught.value.code == "model_inconsistent"


def test_every_level_is_charged() -> None:
    job = private_job(plan={"rounds": 5, "validation": 0.2})
    assert job.planned_rounds == 1 + 5 * 3
    assert [one.count for one in charge(job)] == [16, 1]
    assert [one.count for one in charge(job, 7)] == [7, 1]  # an agent that read rows of 7 rounds
    assert [releases(job, trees) for trees in (0, 1, 5)] == [0, 4, 16]
    assert (parts_of(layout_of(job), initial_state(job)).nodes[:, :, KIND] == 0).all()


def test_an_opened_sum_has_the_shares_of_all_who_are_in_it(tmp_path: Path) -> None:
    """σ/√(t − c) of each: what honest parties of any opened set bring is the σ that is charged."""
    job = private_job(noise="shared", multiplier=20.0, **NOTHING)
    assert job.privacy is not None
    state, sent = initial_state(job), []
    for place, rows in enumerate(shares()):
        state.tofile(tmp_path / "model")
        sums = runner_of(job, rows).train(
            tmp_path / "model", tmp_path / "update", None, seed(1, place)
        )
        sent.append((np.fromfile(tmp_path / "update", "<i8"), sums))
    for count in (1, 2, 3):
        plan, total, weight = _added(job, "train", sent[:count])
        opened = total.view(f"<i{total.itemsize}")[: job.update_parameters].astype(np.int64)
        noise = opened - np.sum([one for one, _ in sent[:count]], axis=0)
        assert weight == count
        share = 20 * 2**10 * job.privacy.share(3)
        assert noise.std() == pytest.approx(share * np.sqrt(count), rel=0.15)
        assert np.abs(noise).max() <= count * plan.encoding.noise_bound
        assert noised_of(job).support == 3 * plan.encoding.noise_bound


@pytest.mark.parametrize("privacy", [True, False])
def test_rows_of_categories_alone_are_split(*, privacy: bool, tmp_path: Path) -> None:
    """Without a number the node's total is told by the first indicator's other cell alone."""
    words = {"numeric": [], "categorical": [{"column": "word", "categories": ["l", "m", "r"]}]}
    more = {"plan": ALL, "features": words}
    job = private_job(privacy={"metrics_noise": None}, **more) if privacy else job_of(**more)
    state, _ = federate(job, shares(), tmp_path)
    nodes = parts_of(layout_of(job), state).nodes
    assert nodes[0, 0, KIND] == 3  # the third indicator is in the label
    assert np.isfinite(nodes).all()
