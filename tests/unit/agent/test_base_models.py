"""The base of an adapter at an agent: who lacks it is named first, and the worker reads it."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from peers.agent_world import JOB, ME, World
from peers.pytorch import demand_torch
from safetensors.numpy import save_file
from unit.engines.prediction.world import MODEL, specified

from secureflow.adapters.datasources import SourceLimits
from secureflow.agent.compute.worker import Worker
from secureflow.agent.owner import basemodels
from secureflow.agent.owner.basemodels import check_bases
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.torch_transformer import TorchTransformerModel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.models import initial_state
from secureflow.kit.basefiles import base_file
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.sdk.prediction import Predictor

TEXTS = [{"column": "note", "length": 6, "tokens": "words", "vocabulary": 32}]
FEATURES = {"label": {"column": "income", "positive": "high"}, "texts": TEXTS}
SHAPE = {"family": "torch_transformer", "width": 8, "heads": 2, "layers": 1, "hidden": 8}
NOTE = {"name": "note", "type": "text"}


@pytest.fixture(autouse=True)
def _installed() -> None:
    demand_torch()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base of random numbers, and a head of another task, which nobody reads."""
    plain = parse(TrainingSpec, spec_value({**SHAPE}))
    assert isinstance(plain.model, TorchTransformerModel)
    assert plain.features is not None
    draws = np.random.default_rng(3)
    tensors = {
        one.name: draws.normal(scale=0.3, size=one.shape).astype(np.float32)
        for one in plain.model.base(plain.features.beside)
    }
    tensors["layers.0.weight"] = np.ones((7, 8), np.float32)
    save_file(tensors, tmp_path / "base.safetensors")
    return tmp_path / "base.safetensors"


def spec_value(model: dict[str, Any]) -> dict[str, Any]:
    roster = [{"party": f"bank-{one}", "key": one * 44, "dataset": "people"} for one in "abc"]
    about = {"project": "prj_0123456789", "name": "n", "purpose": "p", "submitter": "usr_a"}
    plan = {"rounds": 2, "batch_size": 4, "validation": 0.2}
    return {**about, "roster": roster, "features": FEATURES, "model": model, "plan": plan}


def adapted(base: Path) -> dict[str, Any]:
    digest = blake3(base.read_bytes()).hexdigest()
    return {**SHAPE, "adapter": {"base": digest, "rank": 2}}


def world_of(tmp_path: Path, base: Path, files: tuple[Path, ...]) -> World:
    changes = {"features": FEATURES, "model": adapted(base)}
    return World(tmp_path / "agent", spec_changes=changes, base_models=files, more_columns=(NOTE,))


def damage(base: Path, other: Path) -> None:
    other.write_bytes(base.read_bytes() + b"\0")


@pytest.mark.parametrize("held", ["none", "missing", "other"])
async def test_an_agent_without_the_base_is_named_before_anybody_is_asked(
    tmp_path: Path, base: Path, held: str
) -> None:
    other = tmp_path / "other.safetensors"
    if held == "other":
        damage(base, other)
    world = world_of(tmp_path, base, () if held == "none" else (other,))
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("consent", world.consent_body())
    assert caught.value.code == "base_model_missing"
    assert caught.value.details["party"] == ME
    assert world.spec.base in str(caught.value)
    assert world.worker.calls == []


async def test_a_large_base_is_hashed_beside_the_loop_and_once(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop goes on while it is hashed: here the hashing waits for what only the loop does."""
    world, began, may_end = world_of(tmp_path, base, (base,)), threading.Event(), threading.Event()
    hashed: list[Path] = []

    def slowly(path: Path) -> bytes:
        hashed.append(path)
        began.set()
        assert may_end.wait(20)
        return file_digest(path)

    monkeypatch.setattr(basemodels, "file_digest", slowly)
    basemodels._hashed.cache_clear()
    asked = [asyncio.create_task(world.ask("consent", world.consent_body())) for _ in range(3)]
    async with asyncio.timeout(60):
        assert await asyncio.to_thread(began.wait, 20)
        may_end.set()
        await asyncio.gather(*asked)
    assert hashed == [base]
    os.utime(base, ns=(1, 1))  # another time of change: it may be another file
    check_bases(world.spec, (base,), ME)
    assert hashed == [base, base]


async def test_the_worker_is_given_the_base_beside_the_model(tmp_path: Path, base: Path) -> None:
    world = world_of(tmp_path, base, (tmp_path / "missing", base))
    await world.admitted()
    await world.ask("train", world.train_body(1))
    folder = world.settings.models / JOB
    placed = base_file(folder, world.spec.base)
    assert file_digest(placed).hex() == world.spec.base
    await world.assembly.agent.forget(JOB)
    assert not placed.exists()
    assert file_digest(base).hex() == world.spec.base


def prepared(tmp_path: Path) -> DatasetConfig:
    words = ("ill pain", "well fine", "fever ill", "walks well")
    rows = [f"{words[at % 4]},{('high', 'low')[at % 2]}" for at in range(40)]
    (tmp_path / "people.csv").write_text("\n".join(["note,income", *rows]) + "\n")
    columns = (
        ColumnConfig("note", "text"), ColumnConfig("income", "category", ("low", "high")),
    )  # fmt: skip
    return DatasetConfig("people", str(tmp_path / "people.csv"), "csv", columns)


def test_a_worker_trains_and_predicts_over_the_base_in_its_folder(
    tmp_path: Path, base: Path
) -> None:
    spec = parse(TrainingSpec, spec_value(adapted(base)))
    folder, dataset = tmp_path / "job", prepared(tmp_path)
    folder.mkdir()
    start = initial_state(spec)
    start.tofile(folder / "model")
    worker = Worker(SourceLimits())
    worker.prepare("job_1", dump(spec), dump(dataset), "00" * 32)
    state = [None, str(folder / "state")]
    asked = {"model": str(folder / "model"), "update": str(folder / "update"), "moments": None,
             "seed": "07" * 32, "state": state, "round": 1}  # fmt: skip
    with pytest.raises(SecureFlowError) as caught:
        worker.compute("train", "job_1", **asked)
    assert caught.value.code == "base_model_missing"
    base_file(folder, spec.base).write_bytes(base.read_bytes())
    worker.compute("train", "job_1", **asked)
    trained = (start + np.fromfile(folder / "update", "<f4")).astype("<f4")
    trained.tofile(folder / "model")

    roster = [{"party": f"bank-{one}", "key": one * 44, "dataset": "people"} for one in "abc"]
    features = {**FEATURES, "label": {"column": "income", "positive": "high"}}
    model = {**MODEL, "features": features, "model": adapted(base)}
    job = specified(roster, model=model, outputs=["predicted", "probability"], columns=[])
    worker.prepare("job_2", dump(job), dump(dataset), "00" * 32)
    result = folder / "out"
    worker.compute("predict", "job_2", model=str(folder / "model"), result=str(result))
    card = model_card(spec, trained, moments=None, metrics={}, created=1)
    notes = {"note": [line.split(",")[0] for line in
                      (tmp_path / "people.csv").read_text().splitlines()[1:]]}  # fmt: skip
    own = Predictor(ModelFile(card, trained), base=base).predict_proba(notes)
    found = pq.read_table(result)
    said = found[job.titles[1]].to_numpy()
    np.testing.assert_allclose(said, own[:, -1], atol=1e-6)
