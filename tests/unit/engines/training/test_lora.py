"""A small transformer, trained whole and by LoRA over a base that the test pretrains."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from peers.pytorch import demand_torch
from safetensors.numpy import load_file
from unit.engines.training.beside_world import shares, spec, table
from unit.engines.training.family_world import private

from secureflow.adapters.frameworks import runner_of
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.basemodel import read_base
from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.models import initial_state
from secureflow.kit.basefiles import base_file
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.prediction import Predictor
from secureflow.simulation.training.federation import federate
from secureflow.simulation.training.parties import on_base, parties
from secureflow.simulation.training.table import Table

WHOLE: dict[str, Any] = {
    "family": "torch_transformer", "width": 16, "heads": 2, "layers": 2, "hidden": 24,
    "optimiser": {"name": "adam"},
}  # fmt: skip
PLAN = {"rounds": 4, "learning_rate": 0.02, "local_epochs": 2}


@pytest.fixture(autouse=True)
def _installed() -> None:
    demand_torch()


def run(job: TrainingSpec, base: Path | None = None) -> Any:
    """Train three parties in this process."""
    parts = shares()
    rows = Table({name: np.concatenate([one[name] for one in parts]) for name in parts[0]})
    owners = np.repeat(np.arange(3), [len(one["y"]) for one in parts])
    made = parties(job, rows, owners, bytes(32), None, on_base(runner_of, base))
    return federate(job, made)


def predictor(job: TrainingSpec, state: np.ndarray, base: Path | None = None) -> Predictor:
    card = model_card(job, state, moments=None, metrics={}, created=0)
    return Predictor(ModelFile(card, state), base=base)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer that learnt which of two classes a text is of, whole, by all parties."""
    demand_torch()
    job = spec("texts", WHOLE, "binary", plan=PLAN)
    trained = run(job)
    assert trained.metrics["auc"] > 0.8
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    predictor(job, trained.state).save_tensors(path)
    return path


def adapted(base: Path, seen: str = "texts", target: str = "classes", **more: Any) -> TrainingSpec:
    digest = blake3(base.read_bytes()).hexdigest()
    model = {**WHOLE, "adapter": {"base": digest, "rank": 4, "alpha": 8.0}}
    return spec(seen, model, target, plan={**PLAN, **more.pop("plan", {})}, **more)


@pytest.mark.parametrize("protection", ["secagg", pytest.param("sealed", marks=pytest.mark.full)])
def test_only_adapters_travel_and_they_learn(base: Path, protection: str, tmp_path: Path) -> None:
    job = adapted(base, protection=protection)
    whole = spec("texts", WHOLE, "classes")
    assert {one.name.rpartition(".")[0] for one in job.tensors} == {
        "layers.0",
        *(f"blocks.{at}.{to}.lora_{half}" for at in (0, 1) for to in ("query", "value")
          for half in "AB"),
    }  # fmt: skip
    assert job.update_parameters == job.parameters < whole.parameters / 5
    trained = run(job, base)
    assert trained.metrics["accuracy"] > 0.8
    rows = table(60, seed=8)
    loaded = predictor(job, trained.state, base)
    assert (loaded.predict(rows) == rows["kind"]).mean() > 0.8
    # The export, in PEFT's names, and the pasted source over the base say the same.
    loaded.save_adapter(tmp_path)
    loaded.save_tensors(tmp_path / "adapter.safetensors")
    peft = load_file(tmp_path / "adapter_model.safetensors")
    assert peft.keys() == {f"base_model.model.{one.name}" for one in job.tensors}
    (tmp_path / "model.py").write_text(loaded.torch_source())
    pasted = runpy.run_path(str(tmp_path / "model.py"))["load"](
        tmp_path / "adapter.safetensors", base
    )
    import torch

    from secureflow.engines.preparation import declared_moments, encode_rows

    assert job.features is not None
    made, _ = encode_rows(job.features, declared_moments(job.features), rows, numbers=True)
    with torch.inference_mode():
        found = pasted(torch.tensor(made[np.arange(60)], dtype=torch.float32).long()).numpy()
    np.testing.assert_allclose(found, loaded.outputs(rows), atol=1e-4)


def test_an_adapter_begins_as_its_base_and_leaves_it_as_it_is(base: Path, tmp_path: Path) -> None:
    job = adapted(base)
    runner = on_base(runner_of, base)(job, shares()[0])
    model, update = tmp_path / "model", tmp_path / "update"
    initial_state(job).tofile(model)
    runner.train(model, update, None, bytes(32), (None, tmp_path / "state"))
    module = runner._network.module(initial_state(job))  # type: ignore[attr-defined]
    frozen = {name for name, one in module.named_parameters() if not one.requires_grad}
    assert frozen == {one.name for one in job.model.base(job.features.beside)}  # type: ignore
    for name, one in read_base(job, base).items():
        assert (module.state_dict()[name].numpy() == one).all(), name
    assert np.fromfile(update, "<f4").any()
    assert update.stat().st_size == 4 * job.parameters
    # B begins with zeros: before the first round an adapter changes nothing.
    first = initial_state(job)
    other = replace(job, model=replace(job.model, adapter=replace(job.model.adapter, alpha=1.0)))  # type: ignore
    one, two = predictor(job, first, base), predictor(other, first, base)
    np.testing.assert_array_equal(one.outputs(table(9)), two.outputs(table(9)))


@pytest.mark.full
def test_compression_and_adapters_go_together(base: Path) -> None:
    job = adapted(base, compression={"method": "top_k", "share": 0.2}, plan={"rounds": 6})
    trained = run(job, base)
    assert trained.metrics["accuracy"] > 0.7
    assert job.change_bytes < 0.5 * 4 * job.parameters


def test_a_private_adapter_stands_on_its_base_too(base: Path, tmp_path: Path) -> None:
    """Each row's gradient, of adapters and head, is clipped; the noise is drawn for them alone."""
    digest = blake3(base.read_bytes()).hexdigest()
    model = {**WHOLE, "optimiser": {"name": "sgd"}, "adapter": {"base": digest, "rank": 2}}
    job = spec("texts", model, **private("enclave", 1.0))
    runner = runner_of(job, table(8))
    model_file, update = tmp_path / "model", tmp_path / "update"
    model_file.write_bytes(initial_state(job).tobytes())
    with pytest.raises(SecureFlowError) as caught:
        runner.train(model_file, update, None, bytes(32))
    assert caught.value.code == "base_model_missing"
    base_file(tmp_path, digest).write_bytes(base.read_bytes())
    runner.train(model_file, update, None, bytes(32))
    sent = np.fromfile(update, "<f4")
    assert len(sent) == job.update_parameters
    assert sent.any()
    assert (sent == np.rint(sent)).all()


@pytest.mark.full
def test_arrays_of_steps_are_seen_too(tmp_path: Path) -> None:
    job = spec("arrays", WHOLE, "classes", plan=PLAN)
    trained = run(job)
    assert trained.metrics["accuracy"] > 0.8
    path = tmp_path / "base.safetensors"
    predictor(job, trained.state).save_tensors(path)
    assert read_base(adapted(path, "arrays"), path).keys() == {
        one.name for one in job.tensors if not one.name.startswith("layers.")
    }


@pytest.mark.parametrize("damage", ["gone", "other", "shape"])
def test_a_base_that_is_not_the_one_is_named(base: Path, tmp_path: Path, damage: str) -> None:
    job, path = adapted(base), tmp_path / "base"
    if damage == "other":
        path.write_bytes(base.read_bytes()[:-1] + b"\0")
    elif damage == "shape":
        path.write_bytes(base.read_bytes())
        job = replace(job, model=replace(job.model, hidden=25))  # type: ignore[type-var]
    with pytest.raises(SecureFlowError) as caught:
        read_base(job, path)
    wanted = "base_model_missing" if damage == "gone" else "base_model_wrong"
    assert caught.value.code == wanted
    assert job.base in str(caught.value)


def test_a_prediction_without_the_base_is_refused(base: Path) -> None:
    job = adapted(base)
    with pytest.raises(SecureFlowError) as caught:
        predictor(job, initial_state(job)).predict(table(5))
    assert caught.value.code == "base_model_missing"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"heads": 3}, "divide"),
        ({"adapter": {"rank": 17}}, "rank"),
        ({"adapter": {"targets": ["query", "query"]}}, "twice"),
    ],
)
def test_a_transformer_that_cannot_be_is_refused(change: dict[str, Any], told: str) -> None:
    adapter = {"base": "ab" * 32} | change.pop("adapter", {})
    with pytest.raises(SecureFlowError) as caught:
        spec("texts", {**WHOLE, "adapter": adapter, **change}, "classes")
    assert caught.value.code == "contradictory_spec"
    assert told in str(caught.value)


def test_a_job_says_which_base_it_stands_on(base: Path) -> None:
    job = adapted(base)
    assert job.bases == (job.base,)
    assert dump(job)["model"]["adapter"]["base"] == job.base
    assert spec("texts", WHOLE, "classes").bases == ()
    assert base_file(Path("/jobs/x"), job.base).name == f"{job.base}.base"
