"""An agent's own model: made with the evaluation, kept before its figures are told, never sent."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.agent_world import JOB, ME, NOW, Worker, World
from peers.pytorch import demand_torch
from typer.testing import CliRunner

from secureflow.agent.console.screens.actionwords import told as in_words
from secureflow.agent.edge.ownmodelcommands import OwnModelCommands
from secureflow.agent.owner.keptfiles import unfinished
from secureflow.agent.owner.ownmodels import KeptModels, own_model_file
from secureflow.agent.record.store import RecordStore
from secureflow.cli.ownmodels import app
from secureflow.engines.training.export import ModelFile
from secureflow.engines.training.measures import measure_of
from secureflow.engines.training.models import update_layout
from secureflow.kit.disk import Place
from secureflow.kit.errors import InfrastructureError, SecureFlowError

TUNED = {"rounds": 3, "validation": 0.2, "strategy": {"name": "finetune", "epochs": 2}}
NORMS = {"rounds": 3, "validation": 0.2, "strategy": "fedbn"}
LAYER = {"family": "torch_mlp", "hidden": [4], "norm": "layer"}


class Killed(BaseException):
    """The agent dies here."""


class Personal(Worker):
    """Writes an own model that is the shared one plus what it kept, and says that it is better."""

    def __init__(self, spec: Any) -> None:
        super().__init__(spec)
        self.kept: list[bytes | None] = []
        self.length = spec.model_parameters

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        if step == "train" and arguments is not None and self.spec.staying:
            self._train(arguments)
            return self._answer(step)
        if step == "evaluate" and arguments is not None:
            return self._evaluate(arguments)
        return await super().compute(job, step, arguments)

    def _train(self, arguments: Mapping[str, Any]) -> None:
        before, after = arguments["state"]
        self.kept.append(Path(before).read_bytes() if before else None)
        np.ones(self.spec.update_parameters, "<f4").tofile(arguments["update"])
        Path(after).write_bytes(bytes([len(self.kept)]))

    def _evaluate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        before, path = arguments["own"]
        self.kept.append(Path(before).read_bytes() if before else None)
        shared = np.fromfile(arguments["model"], "<f4")[: self.spec.model_parameters]
        (shared + np.float32(1)).astype("<f4")[: self.length].tofile(path)
        self.calls.append("evaluate")
        count = measure_of(self.spec).count
        one, other = np.zeros(count), np.zeros(count)
        one[:2], other[:2] = (4.0, 2.0), (4.0, 1.0)  # rows, and their loss
        return {"sums": [self.weight, *one, *other, 1.0, 0.0], "seconds": 0.25}


def world_of(tmp_path: Path, **changes: Any) -> tuple[World, Personal]:
    tmp_path.mkdir(exist_ok=True)
    world = World(tmp_path / "agent", spec_changes={"plan": TUNED, **changes})
    world.worker = worker = Personal(world.spec)
    world.open_agent()
    return world, worker


async def trained(world: World) -> dict[str, Any]:
    """Bring a job to where it is evaluated; return that request."""
    await world.admitted()
    for number in (1, 2, 3):
        await world.round(number)
    return world.train_body(4, "evaluate")


async def end(world: World, body: dict[str, Any], outcome: str) -> None:
    model = body["model"] if outcome == "succeeded" else None
    await world.ask("finish", world.body(outcome=outcome, model=model, head=world.head()))


def kept(world: World) -> KeptModels:
    return KeptModels(world.settings, world.store, lambda: NOW)


async def test_a_model_is_kept_for_its_owner_and_not_sent(tmp_path: Path) -> None:
    world, _ = world_of(tmp_path)
    body = await trained(world)
    world.record(await world.ask("train", body))
    assert not kept(world).every()  # the job is not over
    with pytest.raises(SecureFlowError):
        kept(world).one(JOB)
    await end(world, body, "succeeded")

    path = own_model_file(world.settings, JOB)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file = ModelFile.from_bytes(path.read_bytes())
    shared = np.frombuffer(world.blobs[body["model"]["digest"]], "<f4")
    np.testing.assert_array_equal(file.weights, shared[: world.spec.model_parameters] + 1)
    (told,) = kept(world).every()
    assert told == kept(world).one(JOB)
    assert (told["job"], told["gained"], told["state"]) == (JOB, True, "kept")
    assert (told["metrics"]["loss"], told["shared_metrics"]["loss"]) == (0.25, 0.5)
    assert told["shared_model"] == body["model"]["digest"]
    assert not list(world.settings.models.iterdir())
    (sent,) = [data for (at, stage, _), data in world.enclave.opened.items() if stage == "evaluate"]
    assert len(sent) == 8 * update_layout(world.spec, "evaluate").sums  # sums alone


async def test_its_owner_lists_and_removes_it(tmp_path: Path) -> None:
    world, _ = world_of(tmp_path)
    body = await trained(world)
    world.record(await world.ask("train", body))
    await end(world, body, "succeeded")
    commands = OwnModelCommands(lambda: kept(world))
    assert set(commands.table()) == {"model.list", "model.show", "model.remove"}
    (one,) = await commands.every()
    assert one["path"] == str(own_model_file(world.settings, JOB))
    assert (await commands.show(JOB))["family"] == "logistic_regression"
    assert (await commands.remove(JOB))["job"] == JOB
    assert await commands.every() == []
    for gone in (commands.show(JOB), commands.remove(JOB), commands.show("../agent")):
        with pytest.raises(SecureFlowError) as caught:
            await gone
        assert caught.value.code == "not_found"
    (noted,) = [one for one in world.store.actions(job=JOB) if one["action"] == "job.own_model"]
    said = str(in_words("job.own_model", noted["facts"], {}))
    assert "0.25" in said
    assert "0.5" in said


async def test_a_file_that_somebody_altered_is_told(tmp_path: Path) -> None:
    world, _ = world_of(tmp_path)
    body = await trained(world)
    world.record(await world.ask("train", body))
    await end(world, body, "succeeded")
    path = own_model_file(world.settings, JOB)
    for data in (b"", b"\x00" * 64, b"\xff" * 64, path.read_bytes()[:100]):
        path.write_bytes(data)
        assert kept(world).one(JOB)["state"] == "altered"


async def test_weights_that_a_disk_damaged_are_told_and_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the card alone is looked at: whoever exports a model predicts with its weights."""
    world, _ = world_of(tmp_path)
    body = await trained(world)
    world.record(await world.ask("train", body))
    await end(world, body, "succeeded")
    path = own_model_file(world.settings, JOB)
    whole = path.read_bytes()
    flipped = whole[:-2] + bytes([whole[-2] ^ 0x40]) + whole[-1:]
    for data, state in ((whole, "kept"), (flipped, "altered"), (whole[:-4], "altered")):
        path.write_bytes(data)
        assert kept(world).one(JOB)["state"] == state
    monkeypatch.setattr("secureflow.agent.api.model_show", lambda _, job: kept(world).one(job))
    copy = tmp_path / "copy.safetensors"
    ran = CliRunner().invoke(app, ["export", JOB, str(copy)])
    assert isinstance(ran.exception, SecureFlowError)
    assert not copy.exists()


async def test_what_is_no_file_is_not_listed(tmp_path: Path) -> None:
    world, _ = world_of(tmp_path)
    path = own_model_file(world.settings, JOB)
    path.mkdir(parents=True)
    path.with_name("job_0000000000.safetensors").symlink_to(tmp_path / "nowhere")
    assert kept(world).every() == []
    world.reopen()


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
async def test_a_job_without_success_leaves_no_model(tmp_path: Path, outcome: str) -> None:
    world, _ = world_of(tmp_path)
    body = await trained(world)
    world.record(await world.ask("train", body))
    path = own_model_file(world.settings, JOB)
    assert path.exists()
    await end(world, body, outcome)
    assert not path.exists()


async def test_what_a_kill_left_between_an_end_and_its_removal_goes(tmp_path: Path) -> None:
    world, _ = world_of(tmp_path)
    body = await trained(world)
    world.record(await world.ask("train", body))
    path = own_model_file(world.settings, JOB)
    world.reopen()
    assert path.exists()  # the job runs
    with world.store.transaction():
        world.store.finish_job(JOB, "failed")
    world.reopen()
    assert not path.exists()
    half = unfinished(path)  # killed while it was written, and only that
    half.write_bytes(b"half")
    world.reopen()
    assert not half.exists()


@contextlib.contextmanager
def dying_at(step: int, patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Kill at the n-th of: commits begun, commits done."""
    met: list[str] = []
    transaction = RecordStore.transaction

    def reach(place: str) -> None:
        met.append(place)
        if len(met) == step:
            raise Killed

    @contextlib.contextmanager
    def mortal(self: Any) -> Iterator[None]:
        with transaction(self):
            yield
            reach("uncommitted")
        reach("committed")

    with patch.context() as patched:
        patched.setattr(RecordStore, "transaction", mortal)
        yield met


@pytest.mark.parametrize("norms", [False, True], ids=["finetune", "fedbn"])
async def test_killed_anywhere_the_figures_told_are_of_the_model_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, norms: bool
) -> None:
    """Before its round is recorded the model is on the disk, and nothing is told before that."""
    changes: dict[str, Any] = {"plan": NORMS, "model": LAYER} if norms else {}
    if norms:
        demand_torch()
    for step in range(1, 30):
        world, worker = world_of(tmp_path / f"at-{step}", **changes)
        worker.noise = 1.0
        body = await trained(world)
        with dying_at(step, monkeypatch) as met, contextlib.suppress(Killed):
            await world.ask("train", body)
        path = own_model_file(world.settings, JOB)
        if world.store.round(JOB, 4, "evaluate") is not None:
            assert path.exists()
        told = [data for (_, at, _), data in world.enclave.opened.items() if at == "evaluate"]
        assert not told or path.exists()
        world.reopen()
        await world.ask("train", body)
        (after,) = [d for (_, at, _), d in world.enclave.opened.items() if at == "evaluate"]
        assert not told or told == [after]
        assert ModelFile.from_bytes(path.read_bytes()).card["own_model"]["party"] == ME
        if norms:
            assert set(worker.kept[3:]) == {b"\x03"}  # the layers of the last round
        if len(met) < step:
            break
    else:
        pytest.fail("the request has more commits than were tried")
    assert step > 2


@pytest.mark.parametrize("length", [0, 2])
async def test_a_model_of_another_length_is_not_kept(tmp_path: Path, length: int) -> None:
    world, worker = world_of(tmp_path)
    body = await trained(world)
    worker.length = length
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("train", body)
    assert caught.value.code == "update_length_wrong"
    assert not own_model_file(world.settings, JOB).exists()
    assert world.store.round(JOB, 4, "evaluate") is None


async def test_a_full_disk_waits_and_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _ = world_of(tmp_path)
    body = await trained(world)

    def full(self: Place, size: int) -> None:
        if self.part == "own files":
            raise InfrastructureError("disk_full", "The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(Place, "demand", full)
        with pytest.raises(InfrastructureError):
            await world.ask("train", body)
    assert world.store.round(JOB, 4, "evaluate") is None
    await world.ask("train", body)
    assert own_model_file(world.settings, JOB).exists()


async def test_layers_that_are_lost_are_named_at_the_end_as_in_a_round(tmp_path: Path) -> None:
    demand_torch()
    world, worker = world_of(tmp_path, plan=NORMS, model=LAYER)
    body = await trained(world)
    assert worker.kept == [None, b"\x01", b"\x02"]
    for state in (world.settings.models / JOB).glob("*.state"):
        state.unlink()
    world.reopen()
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("train", body)
    assert caught.value.code == "state_unreadable"
    assert "fedbn" in str(caught.value)
    assert not own_model_file(world.settings, JOB).exists()
