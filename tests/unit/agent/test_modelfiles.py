"""What a power cut, or a restore, leaves of an agent's model files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.agent_world import JOB, ME, World

from secureflow.agent.compute.jobfiles import UPDATE, held_folder
from secureflow.agent.kinds.training import modelfiles
from secureflow.agent.kinds.training.modelfiles import ModelFiles
from secureflow.agent.kinds.training.steps import Steps
from secureflow.agent.record.records import JobRecord
from secureflow.domain.specs.tensors import layout_digest
from secureflow.domain.specs.training_rules import check
from secureflow.engines.sealing import tensor_digest
from secureflow.engines.training.models import initial_state, update_layout
from secureflow.kit.errors import SecureFlowError

Damage = Callable[[bytes], bytes]
LEFT: list[Damage] = [
    lambda sound: bytes(len(sound)),  # written through a mapping, and never flushed
    lambda _: b"",  # renamed, and never flushed
    lambda sound: sound[:-1],
]


def counted(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the digests of what the world is asked for, as they come."""
    fetched: list[str] = []
    fetch = world.fetch

    async def asked(name: str, path: Path, size: int) -> None:
        fetched.append(name)
        await fetch(name, path, size)

    monkeypatch.setattr(world, "fetch", asked)
    return fetched


def watched(world: World) -> list[bytes]:
    """Return what the worker trains from, as it comes."""
    seen: list[bytes] = []
    compute = world.worker.compute

    async def spy(job: str, step: str, arguments: Any = None) -> dict[str, Any]:
        if step == "train":
            seen.append(np.fromfile(arguments["model"], np.float32).tobytes())
        return await compute(job, step, arguments)

    world.worker.compute = spy  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize("left", LEFT)
async def test_nobody_trains_from_what_a_power_cut_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: Damage
) -> None:
    world = World(tmp_path / "agent")
    fetched = counted(world, monkeypatch)
    seen = watched(world)
    await world.admitted()
    await world.round(1)
    first = seen.pop()
    body = world.train_body(2)
    digest, data = world.model(0.5)
    path = world.settings.models / JOB / f"{digest}.model"
    path.write_bytes(left(data))
    initial = path.with_name(f"{tensor_digest(memoryview(first))}.model")
    initial.write_bytes(left(first))
    held_folder(world.settings.models, JOB).joinpath(UPDATE).unlink()
    world.reopen()
    await world.ask("train", world.train_body(1))  # it is made again, and has to be the same
    await world.ask("train", body)
    assert seen == [first, data]
    assert fetched == [digest]


async def test_a_sound_model_is_hashed_once_and_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "agent")
    fetched = counted(world, monkeypatch)
    hashed: list[Path] = []
    digest_of = modelfiles.file_digest

    def hashing(path: Path) -> bytes:
        hashed.append(path)
        return digest_of(path)

    monkeypatch.setattr(modelfiles, "file_digest", hashing)
    await world.admitted()
    for number in (1, 2):
        await world.round(number)
    assert not hashed, "what this process fetched or computed was hashed on its way"
    digest = fetched.pop()
    (held_folder(world.settings.models, JOB) / UPDATE).unlink()  # else it is sent, not made again
    world.reopen()
    await world.ask("train", world.train_body(2))
    files = ModelFiles(world.settings.models, world.link, ME)  # yet another process
    for _ in range(2):
        assert files.existing(JOB, digest) is not None
    assert not fetched
    assert [path.stem for path in hashed] == [digest, digest]


class Masked:
    """A masked job's models: each follows from the one before and a published mean."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.spec = world.spec
        self.job = JobRecord(JOB, world.digest, {}, b"", 0, 0)
        state = initial_state(self.spec)
        self.models = [state.tobytes()]
        self.steps: list[dict[str, Any]] = []
        for number in (1, 2, 3):
            mean, data = world.model(0.125 * number)
            before, state = state, state + np.frombuffer(data, np.float32)
            self.models.append(state.tobytes())
            step = {"round": number, "base": tensor_digest(before), "model": tensor_digest(state)}
            self.steps.append({**step, "mean": {"artifact": mean, "size": len(data)}})
        self.restart()

    def restart(self) -> None:
        """Forget what this process knows of the files."""
        self.files = ModelFiles(self.world.settings.models, self.world.link, ME)
        self.at = Steps(self.world.assembly.context, self.files)

    def path(self, number: int) -> Path:
        """The file of the model after a round."""
        digest = self.steps[0]["base"] if number == 0 else self.steps[number - 1]["model"]
        return self.world.settings.models / JOB / f"{digest}.model"

    async def reach(self, number: int) -> None:
        """Do what `mask` of the next round does: the newest mean alone is shown."""
        shown = self.steps[max(number - 1, 0) : number]
        initial = self.steps[0]["base"]
        await self.at.ensure_model(self.job, self.spec, self.path(number).stem, initial, shown)
        assert self.path(number).read_bytes() == self.models[number]


@pytest.mark.parametrize("left", LEFT)
async def test_a_model_that_a_power_cut_took_is_computed_again(
    tmp_path: Path, left: Damage
) -> None:
    job = Masked(World(tmp_path / "agent", spec_changes={"protection": "secagg"}))
    for number in range(4):
        await job.reach(number)
        job.path(number).write_bytes(left(job.models[number]))
        job.restart()
        await job.reach(number)
    assert not job.path(1).exists(), "only what the newest is computed from stays beside it"


async def test_a_base_is_on_the_disk_before_what_it_came_from_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Masked(World(tmp_path / "agent", spec_changes={"protection": "secagg"}))
    flushed: list[list[str]] = []

    def fsync(_: int) -> None:
        flushed.append(sorted(path.name for path in job.path(0).parent.glob("*.model")))

    await job.reach(0)
    await job.reach(1)
    with monkeypatch.context() as patched:
        patched.setattr(modelfiles.os, "fsync", fsync)
        await job.reach(2)
    both = sorted(job.path(number).name for number in (0, 1))
    assert flushed == [both, both], "the model, and its name"


async def test_files_of_a_job_that_the_record_does_not_know_go_at_the_start(
    tmp_path: Path,
) -> None:
    """A restored record is older than the job; its update lies there in clear."""
    world = World(tmp_path / "agent")
    await world.admitted()
    await world.round(1)
    models = world.settings.models
    for name in ("job_unknown", "job_other.held", "lost+found"):
        (models / name).mkdir()
        (models / name / "update").write_bytes(b"in clear")
    world.reopen()
    kept = [JOB, f"{JOB}.held", "lost+found"]
    assert sorted(path.name for path in models.iterdir()) == sorted(kept)
    assert (models / f"{JOB}.held" / "update").exists()


async def test_an_update_in_half_the_bytes_is_sealed_and_made_again(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", spec_changes={"wire": "bfloat16"})
    await world.admitted()
    await world.round(1)
    ((_, first),) = world.enclave.opened.items()
    sums = update_layout(world.spec, "train").sums
    assert len(first) == 2 * world.spec.parameters + 8 * sums
    world.reopen()
    await world.ask("train", world.train_body(1))
    assert world.enclave.opened == {(1, "train", world.initial): first}


async def test_a_job_starts_from_the_uploaded_weights_that_its_spec_names(tmp_path: Path) -> None:
    plain = World(tmp_path / "plain")
    digest, data = plain.model(0.25)
    start = {"model": digest, "layout": layout_digest(plain.spec.tensors)}
    world = World(tmp_path / "agent", spec_changes={"initial": start})
    check(world.spec)
    world.blobs[digest] = data
    seen = watched(world)
    await world.admitted()
    named = {"digest": digest, "artifact": digest, "size": len(data), "release": None, "keys": None}
    other, _ = world.model(0.5)
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("train", world.train_body(1, model={**named, "digest": other}))
    assert caught.value.code == "unreleased_model"
    await world.ask("train", world.train_body(1, model=named))
    assert seen == [data]


async def test_an_upload_of_other_bytes_is_refused(tmp_path: Path) -> None:
    plain = World(tmp_path / "plain")
    digest, data = plain.model(0.25)
    start = {"model": digest, "layout": layout_digest(plain.spec.tensors)}
    world = World(tmp_path / "agent", spec_changes={"initial": start})
    world.blobs[digest] = data[:-4]
    await world.admitted()
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("train", world.train_body(1))
    assert caught.value.code == "unreleased_model"
