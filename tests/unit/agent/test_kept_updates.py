"""A recorded update is sent again, not made again, even by a trainer that never makes one twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.agent_world import JOB, Worker, World

from secureflow.agent.compute.jobfiles import UPDATE, held_folder
from secureflow.agent.kinds.kind import AgentKinds
from secureflow.agent.kinds.kinds import AGENT_KINDS
from secureflow.agent.kinds.training import modelfiles
from secureflow.agent.kinds.training.kind import TrainingAgentKind
from secureflow.agent.record.store import RecordStore
from secureflow.kit.errors import SecureFlowError

KINDS = AgentKinds(TrainingAgentKind(lambda _: False), AGENT_KINDS["statistics"])


class Killed(BaseException):
    """The agent dies here."""


class Randomly(Worker):
    """Draws each update, and keeps a state of its own: a random word for each training."""

    def __init__(self, spec: Any) -> None:
        super().__init__(spec)
        self.states: list[bytes | None] = []

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        if step == "train" and arguments is not None:
            self._train(arguments)
        return self._answer(step)

    def _train(self, arguments: Mapping[str, Any]) -> None:
        before, after = arguments["state"]
        self.states.append(Path(before).read_bytes() if before else None)
        drawn = np.frombuffer(os.urandom(4 * self.spec.parameters), np.uint32)
        ((drawn >> 9) * np.float32(2.0**-23)).astype(np.float32).tofile(arguments["update"])
        Path(after).write_bytes(os.urandom(16))


def world_of(tmp_path: Path) -> tuple[World, Randomly]:
    world = World(tmp_path / "agent", kinds=KINDS)
    world.worker = worker = Randomly(world.spec)
    world.open_agent()
    return world, worker


def sent(world: World, number: int) -> bytes:
    """Return what the enclave opened for a round, the newest."""
    return [data for (at, _, _), data in world.enclave.opened.items() if at == number][-1]


async def test_after_a_crash_the_recorded_update_is_sent_again(tmp_path: Path) -> None:
    world, worker = world_of(tmp_path)
    await world.admitted()
    await world.ask("train", world.train_body(1))
    first = sent(world, 1)
    for _ in range(3):
        world.reopen()
        await world.ask("train", world.train_body(1))
        assert sent(world, 1) == first
    assert worker.calls.count("train") == 1
    await world.ask("train", world.train_body(1))  # without a crash neither
    assert sent(world, 1) == first


async def test_what_is_kept_is_sent_though_the_rows_are_others_now(tmp_path: Path) -> None:
    world, worker = world_of(tmp_path)
    await world.admitted()
    await world.ask("train", world.train_body(1))
    first = sent(world, 1)
    world.data.write_text("age,job,income\n42,y,high\n")
    world.reopen()
    await world.ask("train", world.train_body(1))
    assert sent(world, 1) == first
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("train", world.train_body(2))
    assert caught.value.code == "dataset_changed"
    assert worker.calls.count("train") == 1


async def test_a_withdrawn_request_leaves_nothing_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk finishes its write beside the next try, and removed what that one keeps."""
    world, worker = world_of(tmp_path)
    await world.admitted()
    began, real, loop = asyncio.Event(), modelfiles.flush_directory, asyncio.get_running_loop()
    slow = iter([False, True])  # the second write is that of the update

    def late(folder: Path) -> None:
        if next(slow, False):
            loop.call_soon_threadsafe(began.set)
            time.sleep(0.5)
        real(folder)

    monkeypatch.setattr(modelfiles, "flush_directory", late)
    asked = asyncio.create_task(world.ask("train", world.train_body(1)))
    await began.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await world.ask("train", world.train_body(1))
    await asyncio.sleep(1)
    first = sent(world, 1)
    world.reopen()
    await world.ask("train", world.train_body(1))
    assert sent(world, 1) == first
    assert worker.calls.count("train") == 2  # what was recorded by nobody is made again


@contextlib.contextmanager
def dying_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Kill at the n-th of: commits begun, commits done, uploads."""
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

    with monkeypatch.context() as patched:
        patched.setattr(RecordStore, "transaction", mortal)
        yield met


@pytest.mark.parametrize("step", range(1, 9))
async def test_killed_at_every_step_one_update_leaves_and_one_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    world, worker = world_of(tmp_path)
    await world.admitted()
    await world.round(1)
    state = (world.settings.models / JOB).glob("*.state")
    first = next(state).read_bytes()
    body = world.train_body(2)
    try:
        with dying_at(step, monkeypatch) as met:
            await world.ask("train", body)
    except Killed:
        pass
    left = [data for (at, _, _), data in world.enclave.opened.items() if at == 2]
    recorded = world.store.round(JOB, 2, "train")
    trained = worker.calls.count("train")
    world.reopen()
    await world.ask("train", world.train_body(2))
    record = world.store.round(JOB, 2, "train")
    assert record is not None
    assert not left or left == [sent(world, 2)], "an update that had left is another one now"
    assert worker.calls.count("train") == trained + (recorded is None)
    assert recorded is None or recorded.content == record.content
    assert worker.states == [None, *[first] * (len(worker.states) - 1)]
    assert met
    await world.ask("close", world.close_body(body))


async def test_one_model_is_trained_from_once_whatever_the_round_is_called(tmp_path: Path) -> None:
    world, worker = world_of(tmp_path)
    await world.admitted()
    await world.round(1)
    model = world.released(1, 0.5)
    await world.ask("train", world.train_body(2, model=model))
    again = world.released(2, 0.5)  # training may converge and repeat a model
    await world.ask("train", world.train_body(3, model=again))
    assert sent(world, 3) == sent(world, 2)
    assert worker.calls.count("train") == 2


@pytest.mark.parametrize("damage", [b"", b"other", None])
async def test_a_lost_update_is_refused_and_not_trained_again(
    tmp_path: Path, damage: bytes | None
) -> None:
    world, worker = world_of(tmp_path)
    await world.admitted()
    await world.ask("train", world.train_body(1))
    (kept,) = held_folder(world.settings.models, JOB).glob("*.update")
    kept.unlink()
    if damage is not None:
        kept.write_bytes(damage)
    world.reopen()
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("train", world.train_body(1))
    assert caught.value.code == "state_unreadable"
    assert worker.calls.count("train") == 1


async def test_only_the_newest_updates_are_kept_and_none_after_the_end(tmp_path: Path) -> None:
    world, _ = world_of(tmp_path)
    await world.admitted()
    for number in (1, 2, 3):
        await world.round(number)
        kept = list(held_folder(world.settings.models, JOB).glob("*.update"))
        assert len(kept) == min(number, 2)
    folder = world.settings.models / JOB
    assert len(list(folder.glob("*.state"))) == 2
    await world.assembly.agent.forget(JOB)
    assert not list(world.settings.models.iterdir())


async def test_what_a_crash_left_half_written_goes_with_the_next_update(tmp_path: Path) -> None:
    world, _ = world_of(tmp_path)
    await world.admitted()
    await world.round(1)
    own, folder = held_folder(world.settings.models, JOB), world.settings.models / JOB
    left = [own / f"{'ab' * 32}.update.next", own / "update", own / "state"]
    for path in left:
        path.write_bytes(b"half")
    (folder / f"{'ab' * 32}.state").write_bytes(b"of no update")
    world.reopen()
    await world.round(2)
    assert not any(path.exists() for path in left)
    assert len(list(own.iterdir())) == len(list(folder.glob("*.state"))) == 2


async def test_an_update_is_durable_before_its_round_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _ = world_of(tmp_path)
    await world.admitted()
    done: list[str] = []
    flush, add = modelfiles._flush, RecordStore.add_round

    def flushed(path: Path) -> None:
        done.append(path.name)
        flush(path)

    def added(self: Any, record: Any) -> None:
        done.append("record")
        add(self, record)

    monkeypatch.setattr(modelfiles, "_flush", flushed)
    monkeypatch.setattr(RecordStore, "add_round", added)
    await world.ask("train", world.train_body(1))
    assert done == ["state", "update", "record"]


@pytest.mark.parametrize(("stage", "number"), [("train", 1), ("evaluate", 4)])
async def test_an_agent_that_was_started_again_sends_what_it_recorded(
    tmp_path: Path, stage: str, number: int
) -> None:
    """Its numeric code may be another since: an upgrade of NumPy, another kind of processor."""
    world = World(tmp_path / "agent", kinds=AGENT_KINDS)
    await world.admitted()
    for earlier in range(1, number):
        await world.round(earlier)
    body = world.train_body(number, stage)
    await world.ask("train", body)
    first, calls = sent(world, number), world.worker.calls.count(stage)
    other = held_folder(world.settings.models, JOB)
    assert {path.stat().st_mode & 0o777 for path in other.iterdir()} == {0o600}
    world.reopen()
    world.worker.noise, world.worker.weight = 1.0, 41.0
    await world.ask("train", body)
    assert sent(world, number) == first
    assert world.worker.calls.count(stage) == calls
    await world.assembly.agent.forget(JOB)
    assert not list(world.settings.models.iterdir())


async def test_the_update_that_version_0_2_0_held_is_sent_again(tmp_path: Path) -> None:
    """In the file that the worker wrote, sums and all, in the folder of the job."""
    world = World(tmp_path / "agent", kinds=AGENT_KINDS)
    await world.admitted()
    await world.ask("train", world.train_body(1))
    first = sent(world, 1)
    held = held_folder(world.settings.models, JOB) / UPDATE
    held.replace(world.settings.models / JOB / UPDATE)
    world.reopen()
    world.worker.noise = 1.0
    await world.ask("train", world.train_body(1))
    assert sent(world, 1) == first


async def test_what_a_power_cut_took_is_made_again_and_has_to_be_the_same(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", kinds=AGENT_KINDS)
    await world.admitted()
    await world.ask("train", world.train_body(1))
    first, held = sent(world, 1), held_folder(world.settings.models, JOB) / UPDATE
    for left in (bytes(held.stat().st_size), b"", held.read_bytes()[:-1]):
        held.write_bytes(left)
        world.reopen()
        await world.ask("train", world.train_body(1))
        assert sent(world, 1) == first
    assert world.worker.calls.count("train") == 4


async def test_a_file_of_another_length_is_neither_copied_nor_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's code may have left a file as long as the disk, and hashing it takes hours."""
    world = World(tmp_path / "agent", kinds=AGENT_KINDS)
    await world.admitted()
    await world.ask("train", world.train_body(1))
    first, held = sent(world, 1), held_folder(world.settings.models, JOB) / UPDATE
    held.unlink()
    os.truncate(world.settings.models / JOB / UPDATE, len(first) + 1)
    world.reopen()
    copied: list[int] = []
    take = modelfiles.take

    def taking(source: Path, copy: Path, length: int | None, *more: Any, **most: int) -> int:
        copied.append(source.stat().st_size)
        return take(source, copy, length, *more, **most)

    monkeypatch.setattr(modelfiles, "take", taking)
    await world.ask("train", world.train_body(1))
    assert sent(world, 1) == first
    assert max(copied) < len(first), "what was trained anew, without its sums"
