"""FedBN and fine-tuning: layers that stay, models of one's own, and what is told of them."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from peers.pytorch import demand_torch
from unit.engines.training.beside_world import shares, spec

from secureflow.adapters.frameworks import NumpyRunner, TorchRunner
from secureflow.agent.kinds.training.statefiles import Read, Written
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.sealing import tensor_digest
from secureflow.engines.training.disclosure import disclosure
from secureflow.engines.training.encodings import masked_plan
from secureflow.engines.training.federated import own_figures, own_sections
from secureflow.engines.training.measures import measure_of
from secureflow.engines.training.models import initial_state, update_layout
from secureflow.engines.training.ownmodels import compared, counted, shared_sums
from secureflow.engines.training.strategies import next_state
from secureflow.engines.training.strategies.fedbn import runs, stays
from secureflow.engines.training.strategies.strategy import BLOCK
from secureflow.engines.training.torch_modules import source
from secureflow.kit.errors import SecureFlowError
from secureflow.simulation.training.federation import Trained, federate
from secureflow.simulation.training.parties import parties
from secureflow.simulation.training.table import Table

CNN: dict[str, Any] = {"family": "torch_cnn", "channels": [4, 8], "hidden": [8]}
LAYER: dict[str, Any] = {"family": "torch_mlp", "hidden": [8], "norm": "layer"}
BATCH: dict[str, Any] = {"family": "torch_mlp", "hidden": [8], "norm": "batch"}
MLP: dict[str, Any] = {"family": "mlp", "hidden": [8]}
TUNED = {"name": "finetune", "epochs": 3, "learning_rate": 0.2}
NORMED = pytest.mark.parametrize("model", [CNN, LAYER, BATCH], ids=["cnn", "layer", "batch"])
SEED = bytes(32)


def job(strategy: Any, model: dict[str, Any], **more: Any) -> TrainingSpec:
    if model["family"] != "mlp":
        demand_torch()
    plan = {"strategy": strategy, "local_epochs": 2, "learning_rate": 0.1, **more.pop("plan", {})}
    return spec("images", model, plan=plan, **more)


def run(asked: TrainingSpec) -> Trained:
    """Train three parties in this process."""
    parts = shares()
    rows = Table({name: np.concatenate([one[name] for one in parts]) for name in parts[0]})
    owners = np.repeat(np.arange(3), [len(one["y"]) for one in parts])
    return federate(asked, parties(asked, rows, owners, bytes(32), None))


@pytest.mark.parametrize("protection", ["sealed", "secagg", "sealed+secagg"])
@NORMED
def test_norms_stay_and_the_rest_learns(model: dict[str, Any], protection: str) -> None:
    asked = job("fedbn", model, plan={"rounds": 10}, protection=protection)
    trained, kept = run(asked), stays(asked)
    first = initial_state(asked)
    assert (trained.state[kept] == first[kept]).all()  # what everybody has is as it began
    assert (trained.state[~kept] != first[~kept]).any()
    assert trained.own_models is not None
    assert trained.own_models["metrics"]["accuracy"] > 0.8
    assert trained.own_models["metrics"]["rows"] == trained.metrics["rows"]


def test_own_passes_begin_with_a_new_optimiser(tmp_path: Path) -> None:
    """Whatever the rounds left of momentum, and wherever a schedule has come to."""
    carried = {"name": "sgd", "momentum": 0.9, "state": "carried"}
    halved = {"schedule": {"name": "step", "every": 1, "factor": 0.5}}
    asked = job(TUNED, {**LAYER, "optimiser": carried, **halved}, plan={"validation": 0.3})
    model, update = tmp_path / "model", tmp_path / "update"
    model.write_bytes(initial_state(asked).tobytes())
    told = []
    for rounds in (0, 2):
        runner = TorchRunner(asked, shares()[0])
        for _ in range(rounds):
            runner.train(model, update, None, SEED)
        told.append(runner.evaluate(model, None, SEED).tolist())
    assert told[0] == told[1]


def test_what_a_party_sends_is_the_change_of_the_rest_alone(tmp_path: Path) -> None:
    asked = job("fedbn", BATCH)
    model, update, mine = (tmp_path / one for one in ("model", "update", "own"))
    state = initial_state(asked)
    model.write_bytes(state.tobytes())
    runner = TorchRunner(asked, shares()[0])
    after = tmp_path / "state"
    runner.train(model, update, None, SEED, (None, after))
    change = np.fromfile(update, "<f4")
    assert len(change) == asked.update_parameters == asked.model_parameters - 4 * 8
    moved = state.copy()
    next_state(asked, state, change, moved)
    model.write_bytes(moved.tobytes())
    TorchRunner(asked, shares()[0]).evaluate(model, None, SEED, (after, mine))
    own, kept = np.fromfile(mine, "<f4"), stays(asked)
    assert (own[~kept] == moved[~kept]).all()
    names = {name: own[start:stop] for (start, stop, _), name in
             zip(runs(asked), (one.name for one in asked.tensors), strict=True)}  # fmt: skip
    for counts in ("norms.0.running_mean", "norms.0.running_var", "norms.0.weight"):
        first = {"running_mean": 0.0}.get(counts.rsplit(".", 1)[1], 1.0)
        assert np.abs(names[counts] - first).max() > 1e-3, counts


def test_an_agents_file_and_an_enclaves_array_come_to_the_same_bits(tmp_path: Path) -> None:
    asked = job("fedbn", {"family": "torch_mlp", "hidden": [2000, 40], "norm": "batch"})
    assert asked.model_parameters > BLOCK
    draw = np.random.default_rng(7)
    state = draw.normal(size=asked.parameters).astype(np.float32)
    mean = draw.normal(size=asked.update_parameters).astype(np.float32)
    base, part = tmp_path / "base", tmp_path / "part"
    base.write_bytes(state.tobytes())
    with base.open("rb", 0) as source, part.open("wb") as file:
        written = Written(file)
        next_state(asked, Read(source), mean, written)
    moved, kept = state.copy(), stays(asked)
    next_state(asked, moved, mean, moved)
    assert part.read_bytes() == moved.tobytes()
    assert written.digest == tensor_digest(moved)
    assert (moved[~kept] == state[~kept] + mean).all()
    assert (moved[kept] == state[kept]).all()


def test_owners_read_beforehand_what_is_told_and_what_the_model_lacks() -> None:
    rows = disclosure(job("fedbn", BATCH), "")
    told = {row["who"]: row["sees"] for row in rows}
    assert "how many parties" in told["whoever has the report"]
    assert any("no normalisation layer of any party" in row["sees"] for row in rows)
    assert not any("normalisation" in row["sees"] for row in disclosure(job(TUNED, MLP), ""))


@NORMED
def test_layers_survive_their_trainer(model: dict[str, Any], tmp_path: Path) -> None:
    """Through files, with a new trainer for each step, all is as of one trainer."""
    asked, rows = job("fedbn", model), shares()[1]
    at, update, beside, mine = (tmp_path / one for one in ("model", "update", "beside", "own"))
    whole, before = TorchRunner(asked, rows), None
    for number in range(3):
        at.write_bytes((initial_state(asked) + np.float32(0.01 * number)).tobytes())
        whole.train(at, update, None, SEED)
        after = tmp_path / f"{number}.state"
        TorchRunner(asked, rows).train(at, beside, None, SEED, (before, after))
        assert update.read_bytes() == beside.read_bytes()
        before = after
    told = TorchRunner(asked, rows).evaluate(at, None, SEED, (before, mine))
    assert (told == whole.evaluate(at, None, SEED)).all()
    forgetful = TorchRunner(asked, rows).evaluate(at, None, SEED, (None, mine))
    count = measure_of(asked).count
    assert (told[: 1 + count] == forgetful[: 1 + count]).all()  # of the model that all have
    assert (told != forgetful).any()


@pytest.mark.parametrize("damage", ["short", "infinite", "missing"])
def test_layers_that_are_not_as_they_were_written_are_named(tmp_path: Path, damage: str) -> None:
    asked = job("fedbn", LAYER)
    model, update, state, mine = (tmp_path / one for one in ("model", "update", "state", "own"))
    model.write_bytes(initial_state(asked).tobytes())
    TorchRunner(asked, shares()[0]).train(model, update, None, SEED, (None, state))
    values = safetensors.numpy.load(state.read_bytes())
    if damage == "missing":
        del values["own"]
    else:
        endless = np.full_like(values["own"], np.inf)
        values["own"] = values["own"][1:] if damage == "short" else endless
    state.write_bytes(safetensors.numpy.save(values))
    runner = TorchRunner(asked, shares()[0])
    for step in (
        lambda: runner.train(model, update, None, SEED, (state, tmp_path / "next")),
        lambda: runner.evaluate(model, None, SEED, (state, mine)),
    ):
        with pytest.raises(SecureFlowError) as caught:
            step()
        assert caught.value.code == "state_unreadable"
    assert not mine.exists()


@pytest.mark.parametrize("model", [MLP, LAYER], ids=["numpy", "pytorch"])
@pytest.mark.parametrize("protection", ["sealed", "secagg"])
def test_fine_tuning_leaves_the_shared_model_and_says_how_many_gained(
    model: dict[str, Any], protection: str
) -> None:
    asked = job(TUNED, model, plan={"rounds": 2, "local_epochs": 1}, protection=protection)
    plain = run(job("fedavg", model, plan={"rounds": 2, "local_epochs": 1}, protection=protection))
    tuned = run(asked)
    if model is MLP:
        assert tuned.digest == plain.digest
        assert tuned.metrics == plain.metrics
    own = tuned.own_models
    assert own is not None
    assert own["metrics"]["loss"] < tuned.metrics["loss"]
    assert own["parties"] == 3
    assert 1 <= own["gained"] <= 3
    assert own["gained"] + own["lost"] <= 3


def test_a_party_that_goes_astray_keeps_the_shared_model(tmp_path: Path) -> None:
    wild = {"name": "finetune", "epochs": 400, "learning_rate": 100.0}
    linear = {"family": "linear"}
    asked = spec("images", linear, "number", plan={"strategy": wild, "learning_rate": 0.01})
    model, mine = tmp_path / "model", tmp_path / "own"
    model.write_bytes(initial_state(asked).tobytes())
    sums = NumpyRunner(asked, shares()[0]).evaluate(model, None, SEED, (None, mine))
    assert mine.read_bytes() == model.read_bytes()
    assert sums[-2:].tolist() == [0.0, 0.0]


def test_a_party_counts_once_whatever_its_rows(tmp_path: Path) -> None:
    """The cap on weights scales a party's sums, and not whether it gained."""
    asked = job(TUNED, MLP, limits={"max_weight": 5})
    model = tmp_path / "model"
    model.write_bytes(initial_state(asked).tobytes())
    sums = NumpyRunner(asked, shares()[2]).evaluate(model, None, SEED)
    assert sums[0] == 5
    assert sums[-2:].tolist() == [1.0, 0.0]
    assert len(sums) == update_layout(asked, "evaluate").sums


def test_a_count_of_parties_is_read_exactly_under_masks() -> None:
    asked = job(TUNED, MLP, protection="secagg", quantisation={"bits": 8})
    encoding = masked_plan(asked, "job_0123456789", "ab" * 32, "evaluate").encoding
    assert [one.bound for one in encoding.metrics[-2:]] == [1.0, 1.0]
    assert encoding.metrics[0].bound > 1.0
    assert counted([9.0, 3.0, 2.49, 1.0], 5) == (2, 1)
    assert counted([9.0, 1e9, -4.0], 5) == (5, 0)  # of a party that lies


def test_what_is_compared_is_the_plans_figure() -> None:
    asked, measure = job(TUNED, MLP), measure_of(job(TUNED, MLP))
    outputs = np.array([[3, 0, 0], [0, 3, 0]], np.float32)
    good = measure.sums(outputs, np.array([0, 1], np.float32), (0.0, 1.0))
    bad = measure.sums(outputs, np.array([1, 0], np.float32), (0.0, 1.0))
    assert compared(asked, bad, good).tolist() == [1.0, 0.0]
    assert compared(asked, good, bad).tolist() == [0.0, 1.0]
    assert compared(asked, good, good).tolist() == [0.0, 0.0]
    nothing = np.zeros(measure.count)
    assert compared(asked, nothing, nothing).tolist() == [0.0, 0.0]  # no row is held out
    sums = [8.0, *bad, *good, 1.0, 0.0]
    assert shared_sums(asked, sums) == [8.0, *bad]
    told = own_figures(asked, sums, 3)
    assert told is not None
    assert told["metrics"]["accuracy"] == 1.0
    (section,) = own_sections({"accuracy": 0.0}, told)
    assert {"label": "accuracy", "value": [0.0, 1.0]} in section["rows"]
    assert own_figures(job("fedavg", MLP), sums, 3) is None
    assert own_sections({}, None) == []


@pytest.mark.parametrize("model", [LAYER, BATCH], ids=["layer", "batch"])
def test_the_source_of_a_network_with_norms_computes_the_same(
    model: dict[str, Any], tmp_path: Path
) -> None:
    asked = job("fedbn", model)
    import torch

    from secureflow.engines.training.families import model_family

    state = np.random.default_rng(4).random(asked.model_parameters).astype(np.float32)
    at, tensors = 0, {}
    for one in asked.tensors:
        tensors[one.name] = state[at : at + one.size].reshape(one.shape)
        at += one.size
    (tmp_path / "network.py").write_text(source(asked))
    (tmp_path / "weights.safetensors").write_bytes(safetensors.numpy.save(tensors))
    made = runpy.run_path(str(tmp_path / "network.py"))
    network = made["load"](tmp_path / "weights.safetensors")
    rows = np.random.default_rng(5).random((7, 36)).astype(np.float32)
    with torch.inference_mode():
        there = network(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(there, model_family(asked).outputs(state, rows), rtol=1e-5)
