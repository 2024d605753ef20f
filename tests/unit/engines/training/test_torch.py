"""PyTorch's families: what they learn, carry, export and compute under differential privacy."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.pytorch import demand_torch
from unit.engines.training.beside_world import SIDE, shares, spec, table
from unit.engines.training.family_world import private

from secureflow.adapters.frameworks import TorchRunner, runner_of
from secureflow.domain.specs.torch_families import Schedule
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import declared_moments, encode_rows
from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.families import model_family
from secureflow.engines.training.initial import initial_parameters
from secureflow.engines.training.models import initial_state, token_numbers
from secureflow.engines.training.private import METRIC_UNIT
from secureflow.engines.training.torch_state import OptimiserState
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.prediction import Predictor
from secureflow.simulation.training.federation import federate
from secureflow.simulation.training.parties import parties
from secureflow.simulation.training.table import Table

CNN: dict[str, Any] = {"family": "torch_cnn", "channels": [4, 8], "hidden": [8]}
LSTM: dict[str, Any] = {"family": "torch_lstm", "embedding": 8, "hidden": 8}
MLP: dict[str, Any] = {"family": "torch_mlp", "hidden": [8]}
LEARNERS: list[tuple[str, dict[str, Any]]] = [
    ("images", CNN),
    ("images", MLP),
    ("texts", LSTM),
    ("texts", MLP),
    ("arrays", LSTM),
]
TARGETS = ("classes", "binary", "number", "classes", "binary")
MEASURED = pytest.mark.parametrize(("seen", "model"), LEARNERS)


@pytest.fixture(autouse=True)
def _installed() -> None:
    demand_torch()


def run(job: TrainingSpec) -> Any:
    """Train three parties in this process."""
    parts = shares()
    rows = Table({name: np.concatenate([one[name] for one in parts]) for name in parts[0]})
    owners = np.repeat(np.arange(3), [len(one["y"]) for one in parts])
    return federate(job, parties(job, rows, owners, bytes(32), None))


def prepared(job: TrainingSpec, rows: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    assert job.features is not None
    made, labels = encode_rows(job.features, declared_moments(job.features), rows,
                               numbers=token_numbers(job))  # fmt: skip
    return made[np.arange(len(made))].astype(np.float64), labels.astype(np.float64)


def predictor(job: TrainingSpec, state: np.ndarray) -> Predictor:
    return Predictor(ModelFile(model_card(job, state, moments=None, metrics={}, created=0), state))


@pytest.mark.parametrize(
    ("seen", "model", "target"),
    [(*learner, target) for learner, target in zip(LEARNERS, TARGETS, strict=True)]
    + [
        pytest.param(*learner, target, marks=pytest.mark.full)
        for learner, own in zip(LEARNERS, TARGETS, strict=True)
        for target in sorted({*TARGETS} - {own})
    ],
)
def test_a_network_learns_and_predicts_what_agents_compute(
    seen: str, model: dict[str, Any], target: str
) -> None:
    asked = {**model, "optimiser": {"name": "adam", "state": "carried"}}
    plan = {"rounds": 12, "learning_rate": 0.02, "local_epochs": 2}
    job = spec(seen, asked, target, plan=plan)
    trained = run(job)
    told = trained.metrics
    assert told.get("r2", told.get("accuracy", 0)) > 0.8, told
    rows, loaded = table(40, seed=8), predictor(job, trained.state)
    inputs, _ = prepared(job, rows)
    own = model_family(job).outputs(trained.state, inputs.astype(np.float32))
    assert (loaded.outputs(rows) == own).all()
    if target == "classes":
        assert (loaded.predict(rows) == rows["kind"]).mean() > 0.8


@MEASURED
def test_the_first_weights_need_no_framework_and_are_as_pytorch_would_start(
    seen: str, model: dict[str, Any]
) -> None:
    job = spec(seen, model)
    first = initial_parameters(job)
    assert first.tobytes() == initial_parameters(job).tobytes()
    other = replace(job, plan=replace(job.plan, seed=8))
    assert first.tobytes() != initial_parameters(other).tobytes()
    at = 0
    module = model_family(job).module(first)  # type: ignore[attr-defined]
    for one in job.tensors:
        part = first[at : at + one.size]
        at += one.size
        assert (module.state_dict()[one.name].numpy().reshape(-1) == part).all()
        if "norms" in one.name:
            assert set(part.tolist()) == {1.0 if one.name.endswith("weight") else 0.0}
        elif one.size > 60:
            limit = np.abs(part).max()
            assert part.std() == pytest.approx(limit / 3**0.5, rel=0.2)
    assert at == len(first)
    assert sorted(module.state_dict()) == [one.name for one in job.tensors]


@MEASURED
def test_an_export_opens_in_plain_pytorch(seen: str, model: dict[str, Any], tmp_path: Path) -> None:
    import torch

    job = spec(seen, model)
    state = initial_parameters(job)
    loaded, rows = predictor(job, state), table(9)
    loaded.save_tensors(tmp_path / "model.safetensors")
    (tmp_path / "source.py").write_text(loaded.torch_source())
    assert "secureflow" not in loaded.torch_source()
    module = runpy.run_path(str(tmp_path / "source.py"))["load"](tmp_path / "model.safetensors")
    inputs, _ = prepared(job, rows)
    given = torch.tensor(inputs, dtype=torch.float32)
    if model is CNN:
        given = given.reshape(9, SIDE, SIDE, 1).permute(0, 3, 1, 2)
    elif model is LSTM:
        given = given.long() if seen == "texts" else given.reshape(9, 5, 3)
    with torch.no_grad():
        assert np.allclose(module(given).numpy(), loaded.outputs(rows), atol=1e-6)


def trained_twice(job: TrainingSpec, folder: Path, states: Sequence[bool]) -> list[np.ndarray]:
    """Two rounds of one party; `states` says whether the state's file is handed on."""
    runner = TorchRunner(job, table(60))
    (folder / "model").write_bytes(initial_state(job).tobytes())
    updates, before = [], None
    for number, carried in enumerate(states):
        after = folder / f"state{number}"
        given = (before if carried else None, after)
        runner.train(folder / "model", folder / "update", None, bytes(31) + b"\1", given)
        updates.append(np.fromfile(folder / "update", "<f4"))
        before = after
    return updates


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("state", ["carried", "reset"])
def test_what_an_optimiser_carries_is_in_its_file(name: str, state: str, tmp_path: Path) -> None:
    momentum = {"momentum": 0.9} if name == "sgd" else {}
    asked = {**CNN, "optimiser": {"name": name, "state": state, **momentum}, "weight_decay": 0.01}
    job = spec("images", asked, plan={"learning_rate": 0.01})
    first, second = trained_twice(job, tmp_path, (False, True))
    again, fresh = trained_twice(job, tmp_path, (False, False))
    assert np.allclose(first, again, atol=1e-6)
    assert np.allclose(fresh, first, atol=1e-6)
    assert np.allclose(second, first, atol=1e-6) == (state == "reset")
    found = OptimiserState.from_bytes((tmp_path / "state0").read_bytes())
    assert found.rounds == 1
    assert bool(found.values) == (state == "carried")


COMPARED = """
import sys, numpy as np, torch
sys.path[:0] = sys.argv[1:]
from unit.engines.training.beside_world import spec
from secureflow.engines.training.torch_state import Optimiser, OptimiserState
assert not any(name.startswith("torch._dynamo") for name in sys.modules)
for name, more, kind in (("sgd", {"momentum": 0.9}, torch.optim.SGD), ("sgd", {}, torch.optim.SGD),
                         ("adam", {}, torch.optim.Adam), ("adamw", {}, torch.optim.AdamW)):
    asked = {"name": name, "state": "carried", **more}
    model = spec("images", {"family": "torch_mlp", "optimiser": asked, "weight_decay": 0.1}).model
    torch.manual_seed(1)
    ours = torch.nn.Linear(4, 3)
    theirs = torch.nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    groups = [{"params": [theirs.weight], "weight_decay": 0.1},
              {"params": [theirs.bias], "weight_decay": 0.0}]
    other, state = kind(groups, lr=0.05, **more), OptimiserState()
    for number in range(6):
        if number % 2 == 0:  # a new round
            own = Optimiser(torch, model, list(ours.named_parameters()), 0.05, state)
        inputs = torch.randn(5, 4)
        for module, optimiser in ((ours, own), (theirs, other)):
            (module(inputs) ** 2).mean().backward()
            optimiser.step()
        own.clear()
        other.zero_grad()
        state = OptimiserState.from_bytes(OptimiserState(1, own.steps, own.values()).to_bytes())
    for one, two in zip(ours.parameters(), theirs.parameters()):
        assert torch.allclose(one, two, atol=1e-6), (name, one - two)
"""


@pytest.mark.slow
@pytest.mark.full
def test_steps_are_those_of_pytorchs_own_optimisers(tmp_path: Path) -> None:
    """In a process of its own: those load a compiler, which leaves folders and settings behind."""
    root = Path(__file__).parents[3]
    paths = [str(root), str(root.parent), str(root.parent / "src")]
    surroundings = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-P", "-c", COMPARED, *paths], check=True, env=surroundings)


def test_training_loads_no_compiler() -> None:
    before = set(sys.modules)  # what tests of other files loaded in this process
    run(spec("images", CNN, plan={"rounds": 1}))
    loaded = set(sys.modules) - before
    assert not any(name.startswith(("torch._dynamo", "torch._inductor")) for name in loaded)


def test_a_schedule_counts_the_rounds_in_which_a_party_trained(tmp_path: Path) -> None:
    asked = {**CNN, "schedule": {"name": "step", "every": 1, "factor": 0.1}}
    job = spec("images", asked, plan={"learning_rate": 0.01})
    first, second = trained_twice(job, tmp_path, (False, True))
    ratio = np.linalg.norm(second) / np.linalg.norm(first)
    assert ratio == pytest.approx(0.1, rel=0.1)
    cosine = Schedule("cosine")
    assert cosine.rate(0.5, 0, 10) == 0.5
    assert cosine.rate(0.5, 5, 10) == pytest.approx(0.25)
    assert cosine.rate(0.5, 10, 10) == pytest.approx(0.0)
    assert Schedule().rate(0.5, 7, 10) == 0.5


@pytest.mark.parametrize("damage", ["", "pickle", "short", "shape", "name", "rounds"])
def test_a_damaged_state_is_refused_by_name(damage: str, tmp_path: Path) -> None:
    asked = {**CNN, "optimiser": {"name": "adam", "state": "carried"}}
    job = spec("images", asked)
    runner = TorchRunner(job, table(30))
    (tmp_path / "model").write_bytes(initial_state(job).tobytes())
    runner.train(tmp_path / "model", tmp_path / "u", None, bytes(32), (None, tmp_path / "state"))
    data = (tmp_path / "state").read_bytes()
    values = dict(OptimiserState.from_bytes(data).values)
    name = next(iter(values))
    changed = {
        "": b"",
        "pickle": b"\x80\x04K\x01.",
        "short": data[:-1],
        "shape": OptimiserState(1, 1, {**values, name: np.zeros(3, np.float32)}).to_bytes(),
        "name": OptimiserState(1, 1, {"exp_avg.other": np.zeros(3, np.float32)}).to_bytes(),
        "rounds": OptimiserState(-1, 1, values).to_bytes(),
    }[damage]
    (tmp_path / "before").write_bytes(changed)
    with pytest.raises(SecureFlowError) as caught:
        runner.train(tmp_path / "model", tmp_path / "u", None, bytes(32),
                     (tmp_path / "before", tmp_path / "state"))  # fmt: skip
    assert caught.value.code == "state_unreadable"


def test_weights_of_rows_and_classes_count(tmp_path: Path) -> None:
    """Rows of a class that weighs a thousandth hardly move the model."""

    def moved(weights: list[float]) -> float:
        job = spec("images", {**CNN, "class_weights": weights}, plan={"learning_rate": 0.1})
        rows = table(40)
        chosen = rows["kind"] == "a"
        runner = runner_of(job, {name: cells[chosen] for name, cells in rows.items()})
        (tmp_path / "model").write_bytes(initial_state(job).tobytes())
        runner.train(tmp_path / "model", tmp_path / "u", None, bytes(32))
        return float(np.linalg.norm(np.fromfile(tmp_path / "u", "<f4")))

    assert moved([0.001, 1.0, 1.0]) < 0.01 * moved([1.0, 1.0, 1.0])


# --- differential privacy ------------------------------------------------------------------------


@MEASURED
def test_a_rows_clipped_part_depends_on_that_row_alone_to_the_last_bit(
    seen: str, model: dict[str, Any]
) -> None:
    """The sum over all rows is that of the rows one by one, in any order: no bit is rounded."""
    job = spec(seen, model)
    inputs, labels = prepared(job, table(9))
    family, parameters = model_family(job), initial_parameters(job).astype(np.float64) * 3
    each = [family.clipped_sum(parameters, inputs[at : at + 1], labels[at : at + 1], 0.5, None)
            for at in range(9)]  # fmt: skip
    for order in (np.arange(9), np.arange(9)[::-1], np.array([4])):
        found = family.clipped_sum(parameters, inputs[order], labels[order], 0.5, None)
        assert (found == np.sum([each[at] for at in order], axis=0)).all()
    assert max(np.linalg.norm(one) for one in each) <= 0.5
    assert min(np.linalg.norm(one) for one in each) > 0.1


@MEASURED
def test_a_clipped_gradient_is_that_of_the_batch_where_nothing_is_clipped(
    seen: str, model: dict[str, Any]
) -> None:
    job = spec(seen, model, plan={"learning_rate": 1.0, "batch_size": 64, "validation": 0.0})
    inputs, labels = prepared(job, table(20))
    parameters = initial_parameters(job)
    family = model_family(job)
    rows, known = inputs.astype(np.float32), labels.astype(np.float32)
    step = family.train(job, parameters, rows, known, bytes(32)) - parameters
    summed = family.clipped_sum(parameters.astype(np.float64), inputs, labels, 100.0, None)
    assert np.allclose(-step, summed / 20, atol=1e-5)


def test_rows_without_a_finite_gradient_add_nothing() -> None:
    job = spec("images", CNN)
    inputs, labels = prepared(job, table(5))
    family = model_family(job)
    assert not family.clipped_sum(np.full(job.parameters, 1e300), inputs, labels, 1.0, None).any()
    assert not family.clipped_sum(np.full(job.parameters, np.nan), inputs, labels, 1.0, None).any()


@MEASURED
def test_a_rows_figures_depend_on_that_row_alone(seen: str, model: dict[str, Any]) -> None:
    job = spec(seen, model)
    inputs, labels = (one.astype(np.float32) for one in prepared(job, table(7)))
    family, parameters = model_family(job), initial_parameters(job)
    whole = family.metric_steps(parameters, inputs, labels, METRIC_UNIT)
    parts = [family.metric_steps(parameters, inputs[at : at + 1], labels[at : at + 1], METRIC_UNIT)
             for at in range(7)]  # fmt: skip
    assert (whole == np.sum(parts, axis=0)).all()
    assert not family.metric_steps(parameters, inputs[:0], labels[:0], METRIC_UNIT).any()


@pytest.mark.parametrize(
    "noise",
    ["enclave", *(pytest.param(one, marks=pytest.mark.full) for one in ("shared", "local"))],
)
def test_a_private_network_learns_wherever_noise_is_added(noise: str) -> None:
    plan = {"rounds": 8, "learning_rate": 0.7}
    job = spec("images", CNN, plan=plan, **private(noise, 0.1, rows=240, clipping_norm=1.0))
    assert run(job).metrics["accuracy"] > 0.6


def test_a_private_party_has_no_row_that_fails(tmp_path: Path) -> None:
    for seen, model in LEARNERS:
        job = spec(seen, model, **private("enclave", 1.0))
        rows = table(8)
        rows["note"][:4] = [None, "", "\ud800", 3]
        rows["signal"][:3] = np.array([np.nan, np.inf, -3e38])[:, None, None]
        rows["kind"][:2] = [None, "zebra"]
        runner = TorchRunner(job, rows)
        (tmp_path / "model").write_bytes(initial_state(job).tobytes())
        runner.train(tmp_path / "model", tmp_path / "u", None, bytes(32))
        assert np.isfinite(np.fromfile(tmp_path / "u", "<f4")).all()
        assert np.isfinite(runner.evaluate(tmp_path / "model", None, bytes(32))).all()
        nobody = TorchRunner(job, {name: cells[:0] for name, cells in rows.items()})
        nobody.train(tmp_path / "model", tmp_path / "u", None, bytes(32))
        assert not np.fromfile(tmp_path / "u", "<f4").any()


@pytest.mark.parametrize(
    "more",
    [{"optimiser": {"name": "adam"}}, {"optimiser": {"momentum": 0.5}},
     {"schedule": {"name": "cosine"}}],
)  # fmt: skip
def test_noise_per_record_takes_plain_steps(more: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as caught:
        spec("images", {**CNN, **more}, **private("enclave"))
    assert caught.value.code == "contradictory_spec"
    assert "model.optimiser" in caught.value.message
