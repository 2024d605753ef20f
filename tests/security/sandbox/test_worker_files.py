"""A worker in the real sandbox goes on writing its files: nothing that counts depends on them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.agent.compute.jobfiles import OUTPUTS, held_folder
from secureflow.agent.compute.worker_process import WorkerConfig, views
from secureflow.agent.kinds.training.modelfiles import ModelFiles
from secureflow.application.ports.sandbox import Launch, Limits, SandboxProcess
from secureflow.engines.sealing import tensor_digest
from tests.security.sandbox.conftest import World

JOB = "job_files"
SIZE = 3 << 20
STATE = 1 << 20
SUMS = [1.0, 2.0]
SOURCE = """
import json, os, sys
held = {}
def opened(name):
    if name not in held:
        held[name] = os.open("/job/" + name, os.O_RDWR)
    return held[name]
def write(name, what, count, at=0):
    return os.pwrite(opened(name), what.encode() * count, at)
def cut(name):
    os.ftruncate(opened(name), 0)
def fill(name, count):
    for attempt in (os.posix_fallocate, lambda file, at, most: os.ftruncate(file, most)):
        try:
            attempt(opened(name), 0, count)
        except OSError:
            pass
    at = 0
    try:
        while at < count:
            at += os.pwrite(opened(name), bytes(1 << 16), at)
    except OSError:
        pass
    return os.fstat(opened(name)).st_size
def seen():
    return sorted(os.listdir("/job")), os.path.exists("/job.held")
for line in sys.stdin:
    what, arguments = json.loads(line)
    print(json.dumps(globals()[what](*arguments)), flush=True)
"""

Ask = Callable[..., Awaitable[Any]]


class Agent:
    """An agent's files, and a worker that does what a test says."""

    def __init__(self, world: World) -> None:
        self.python = world.python
        self.models = world.folder / "agent" / "models"
        self.config = WorkerConfig(
            sandbox=BubblewrapSandbox(),
            files=self.models,
            written=lambda _: SIZE,
            state=STATE,
            memory=8 << 30,
        )
        self.files = ModelFiles(self.models, None, "bank-a", STATE)  # type: ignore[arg-type]
        self.process: SandboxProcess | None = None

    async def begin(self) -> None:
        """Start what a worker of the job would be."""
        largest = self.config.largest({})
        seen = views(self.config, JOB, "", largest)
        limits = Limits(memory=512 << 20, file_size=seen.largest or 0)
        command = (self.python, "-I", "-S", "-c", SOURCE)
        launch = Launch(command, {}, seen.inputs, seen.outputs, (), limits)
        self.process = await self.config.sandbox.start(launch)

    async def ask(self, what: str, *arguments: Any) -> Any:
        """Have the worker do something, at any moment."""
        assert self.process is not None
        self.process.writer.write(json.dumps([what, arguments]).encode() + b"\n")
        said = await self.process.reader.readline()
        assert said, self.process.printed
        return json.loads(said)

    async def end(self) -> None:
        if self.process is not None:
            await self.process.kill()
        self.files.forget(JOB)


def played(world: World, play: Callable[[Agent], Awaitable[Any]]) -> Any:
    """Play it as the world's identity."""

    async def work() -> Any:
        agent = Agent(world)
        try:
            await agent.begin()
            return await play(agent)
        finally:
            await agent.end()

    return world.run(work)


async def _written(agent: Agent, letter: str = "A") -> memoryview:
    """Have an update written, and take it."""
    agent.files.begin_update(JOB, SIZE)
    await agent.ask("write", "update", letter, SIZE)
    return agent.files.plaintext(JOB, SIZE, SUMS)


def test_a_held_update_stays_what_it_is_whatever_its_worker_writes(world: World) -> None:
    async def play(agent: Agent) -> list[Any]:
        held = await _written(agent)
        before = tensor_digest(held)
        await agent.ask("write", "update", "EVIL", SIZE // 4)
        changed = tensor_digest(held)
        await agent.ask("cut", "update")
        return [before, changed, tensor_digest(held), bytes(held[:4]).decode(), len(held)]

    before, changed, cut, beginning, length = played(world, play)
    assert before == changed, "an update changed once its digest was taken"
    assert before == cut
    assert (beginning, length) == ("AAAA", SIZE + 8 * len(SUMS))


def test_a_kept_update_and_its_state_are_out_of_reach(world: World) -> None:
    async def play(agent: Agent) -> list[Any]:
        held = await _written(agent)
        await agent.ask("write", "state", "S", 1000)
        content = tensor_digest(held)
        agent.files.keep_update(JOB, content, held, filed=True)
        for name in OUTPUTS:
            await agent.ask("write", name, "EVIL", 1000)
        kept = agent.files.kept_update(JOB, content, len(held))
        state, following = agent.files.trainer_state(JOB, content)
        for name in OUTPUTS:
            await agent.ask("cut", name)
        again = agent.files.kept_update(JOB, content, len(held))
        return [
            kept is not None and tensor_digest(kept) == content,
            again is not None and bytes(again[:SIZE]) == b"A" * SIZE,
            state is not None and state.read_bytes() == b"S" * 1000,
            following.stat().st_size,
        ]

    assert played(world, play) == [True, True, True, 0]


def test_a_worker_sees_nothing_of_what_is_held(world: World) -> None:
    async def play(agent: Agent) -> list[Any]:
        held = await _written(agent)
        agent.files.keep_update(JOB, tensor_digest(held), held, filed=True)
        folder = held_folder(agent.models, JOB)
        return [*await agent.ask("seen"), [one.suffix for one in folder.iterdir()]]

    assert played(world, play) == [["rows", "state", "update"], False, [".update"]]


def test_a_worker_fills_no_disk(world: World) -> None:
    """All files together have a size that the spec and one setting say, and go with the job."""

    async def play(agent: Agent) -> list[Any]:
        sizes = [await agent.ask("fill", name, 64 << 20) for name in OUTPUTS]
        folder = agent.models / JOB
        taken = sum((folder / name).stat().st_blocks * 512 for name in OUTPUTS)
        views(agent.config, JOB)
        left = sum((folder / name).stat().st_blocks for name in OUTPUTS)
        return [*sizes, taken <= 3 * SIZE + (1 << 16), left]

    assert played(world, play) == [SIZE, SIZE, SIZE, True, 0]


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_is_written_after_an_answer_is_nobodys(world: World, name: str) -> None:
    async def play(agent: Agent) -> list[Any]:
        held = await _written(agent)
        agent.files.keep_update(JOB, tensor_digest(held), held, filed=True)
        await agent.ask("write", name, "EVIL", 1000)
        before = [one.stat().st_ino for one in (agent.models / JOB).iterdir()]
        views(agent.config, JOB)
        agent.files.trainer_state(JOB, "")
        after = [one.stat().st_ino for one in (agent.models / JOB).iterdir()]
        return [before == after, *((agent.models / JOB / one).stat().st_size for one in OUTPUTS)]

    assert played(world, play) == [True, 0, 0, 0], "the worker stays warm, its files are empty"


def test_a_state_beyond_its_limit_is_refused_and_not_copied(world: World) -> None:
    async def play(agent: Agent) -> list[Any]:
        held = await _written(agent)
        await agent.ask("write", "state", "S", STATE + 1)
        try:
            agent.files.keep_update(JOB, tensor_digest(held), held, filed=True)
        except Exception as error:  # noqa: BLE001 - it crosses a fork as JSON
            names = {one.name for one in held_folder(agent.models, JOB).iterdir()}
            return [getattr(error, "code", str(error)), sorted(names)]
        return []

    assert played(world, play) == ["too_large", ["update"]]


def test_nothing_is_left_of_a_job(world: World) -> None:
    async def play(agent: Agent) -> list[str]:
        held = await _written(agent)
        agent.files.keep_update(JOB, tensor_digest(held), held, filed=True)
        agent.files.forget(JOB)
        return sorted(one.name for one in agent.models.iterdir() if one.name.startswith(JOB))

    assert played(world, play) == []
    assert Path(world.folder).exists()
