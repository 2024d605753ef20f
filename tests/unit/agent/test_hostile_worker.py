"""A worker that says what it likes, when it likes: what the agent makes of it."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.accounting import Analytic
from peers.agent_world import JOB, World

from secureflow.adapters.datasources import dataset_commitment
from secureflow.agent.compute import worker_process
from secureflow.agent.compute import workers as workers_module
from secureflow.agent.compute.worker_errors import WorkerError
from secureflow.agent.compute.worker_process import WorkerConfig, views
from secureflow.agent.compute.workers import Workers
from secureflow.agent.edge.computing import HiddenPlaces, start_workers
from secureflow.agent.kinds.kinds import AGENT_KINDS
from secureflow.agent.settings import OTHERS_SECONDS, WorkerSettings
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.training import ModelSpec
from secureflow.kit.disk import Place
from secureflow.kit.errors import InfrastructureError, SecureFlowError

SECRET = "SECRET"
SPEC = {"kind": "training", "name": "x"}
SALT = b"\x05" * 32
SCRIPT = """#!{python} -I
import json, os, sys
answers, told = {answers!r}, {told!r}
with open(told, "a") as file:
    file.write(f"{{os.getpid()}}\\n")
for number, line in enumerate(sys.stdin):
    request = json.loads(line)
    said = answers.get(request["verb"], answers.get("", ""))
    said = said.replace("ID", str(request["id"]))
    sys.stdout.write(said + "\\n")
    sys.stdout.flush()
"""
PREPARED = '{"id": ID, "answer": {"rows": 4, "validation": 1, "commitment": ""}}'


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetConfig:
    path = tmp_path / "clients.csv"
    path.write_text("age\n4\n")
    return DatasetConfig("clients", str(path), "csv", (ColumnConfig("age", "number"),))


@pytest.fixture
def saying(tmp_path: Path) -> Callable[..., Workers]:
    """Return workers that answer each verb with a line in which ID is the request's number."""

    def make(answers: dict[str, str], **more: Any) -> Workers:
        script = tmp_path / "worker"
        told = str(tmp_path / "pids")
        script.write_text(SCRIPT.format(python=sys.executable, answers=answers, told=told))
        script.chmod(0o700)
        return Workers(WorkerConfig(python=str(script), **more))

    return make


def pids(tmp_path: Path) -> list[int]:
    return [int(one) for one in (tmp_path / "pids").read_text().split()]


async def refused(waiting: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await waiting
    assert SECRET not in json.dumps(caught.value.as_json())
    return caught.value


NO_ANSWERS = [
    '{"id": ID}',
    '{"id": ID, "answer": null}',
    '{"id": ID, "answer": [1]}',
    '{"id": ID, "answer": {}, "error": {}}',
    '{"id": ID, "error": "SECRET"}',
    '{"id": ID, "error": ["SECRET"]}',
    '{"id": ID, "error": null}',
    '{"id": ID0, "answer": {}}',
    '{"id": "ID", "answer": {}}',
    '{"id": ID.0, "answer": {}}',
    '{"id": true, "answer": {}}',
    '{"id": null, "answer": {}}',
    '{"answer": {}}',
    '{"id": ID, "id": ID, "answer": {}}',
    '{"id": ID, "answer": {"sums": [NaN]}}',
    '{"id": ID, "answer": {"sums": [1e999]}}',
    '{"id": ID, "answer": {"x": ' + "[" * 50_000 + "]" * 50_000 + "}}",
    '{"id": ID, "answer": {"x": ' + "9" * 100_000 + "}}",
    '{"id": ID, "answer": {"rows": 4, "validation": 1, "commitment": "", "x": ['
    + "{}," * 200_000
    + "0]}}",
    '["SECRET"]',
    "null",
    "SECRET",
    "",
    "\x00\x00",
]


@pytest.mark.parametrize("said", NO_ANSWERS, ids=lambda said: said[:40])
async def test_what_is_no_answer_ends_the_process_and_is_a_typed_error(
    saying: Callable[..., Workers], tmp_path: Path, said: str
) -> None:
    workers = saying({"": said})
    error = await refused(workers.prepare("job", SPEC, None))
    assert error.code == "worker_died"
    assert len(pids(tmp_path)) == 2, "it is asked once more, in another process"
    for pid in pids(tmp_path):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


WRONG = [
    *(f'{{"rows": {one}, "validation": 1, "commitment": ""}}'
      for one in ("-1", "true", "0.5", '"SECRET"', "null", "[1]", str(1 << 60))),
    '{"rows": 1, "commitment": ""}',
    '{"rows": 1, "validation": 1, "commitment": "SECRET"}',
    '{"rows": 1, "validation": 1, "commitment": null}',
    "{}",
]  # fmt: skip


@pytest.mark.parametrize("answer", WRONG)
async def test_a_preparation_has_counts_and_a_commitment(
    saying: Callable[..., Workers], answer: str
) -> None:
    workers = saying({"": f'{{"id": ID, "answer": {answer}}}'})
    assert (await refused(workers.prepare("job", SPEC, None))).code == "worker_failed"
    assert workers.pids() == {}


async def test_of_a_preparation_nothing_else_is_kept(saying: Callable[..., Workers]) -> None:
    more = PREPARED.replace('"rows"', '"SECRET": "SECRET", "rows"')
    workers = saying({"": more})
    found = await workers.prepare("job", SPEC, None)
    assert found == {"rows": 4, "validation": 1, "commitment": ""}
    await workers.stop()


@pytest.mark.parametrize(
    "sums",
    ["{}", "null", "1", '"SECRET"', '["SECRET"]', "[true]", "[null]", "[[1]]", "[1, {}]"],
)
async def test_sums_are_numbers(saying: Callable[..., Workers], tmp_path: Path, sums: str) -> None:
    step = f'{{"id": ID, "answer": {{"sums": {sums}, "seconds": 0}}}}'
    workers = saying({"prepare": PREPARED, "train": step})
    await workers.prepare("job", SPEC, None)
    assert (await refused(workers.compute("job", "train"))).code == "worker_failed"
    assert workers.pids() == {}
    (pid,) = pids(tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_the_time_of_a_step_is_measured_and_not_believed(
    saying: Callable[..., Workers],
) -> None:
    step = '{"id": ID, "answer": {"sums": [1, 2.5], "seconds": 1234567.25, "SECRET": 1}}'
    workers = saying({"prepare": PREPARED, "train": step})
    await workers.prepare("job", SPEC, None)
    found = await workers.compute("job", "train")
    assert found.keys() == {"sums", "seconds"}
    assert found["sums"] == [1, 2.5]
    assert 0 < found["seconds"] < 1e6
    await workers.stop()


async def test_what_is_published_of_a_dataset_is_found_by_the_agent(
    saying: Callable[..., Workers], dataset: DatasetConfig
) -> None:
    honest = dataset_commitment(Path(dataset.path), SALT)
    told = {
        "name": SECRET, "columns": [SECRET], "rows": 7, "bucket": SECRET, "salt": SECRET,
        "commitment": honest,
    }  # fmt: skip
    workers = saying({"": json.dumps({"id": 0, "answer": told}).replace('"id": 0', '"id": ID')})
    found = await workers.describe(dataset, SALT)
    assert SECRET not in json.dumps(found)
    assert found["columns"] == dataset.public_schema()
    assert (found["rows"], found["bucket"], found["salt"]) == (7, "<1k", SALT.hex())
    for lie in ("ab" * 32, SECRET, None):
        answer = json.dumps({"id": 0, "answer": {**told, "commitment": lie}})
        workers = saying({"": answer.replace('"id": 0', '"id": ID')})
        assert (await refused(workers.describe(dataset, SALT))).code == "dataset_changed"


def said_to_be(code: str) -> str:
    error = {"code": code, "message": SECRET, "hint": SECRET, "details": {"part": SECRET}}
    return '{"id": ID, "error": ' + json.dumps(error) + "}"


@pytest.mark.parametrize("code", ["disk_full", "too_many_files", "disk_failed", "database_busy"])
async def test_a_worker_cannot_make_its_agent_wait(
    saying: Callable[..., Workers], tmp_path: Path, code: str
) -> None:
    workers = saying({"": said_to_be(code)}, files=tmp_path / "models")
    error = await refused(workers.prepare("job", SPEC, None))
    assert error.code == "worker_failed"
    assert not isinstance(error, InfrastructureError)


async def test_a_disk_that_is_full_is_waited_for(
    saying: Callable[..., Workers], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the worker wrote so far is what fills it, and goes."""
    folder = tmp_path / "models" / "job"
    folder.mkdir(parents=True)
    (folder / "update").write_bytes(bytes(100))
    workers = saying(
        {"": said_to_be("disk_full")}, files=tmp_path / "models", written=lambda _: 1000, state=10
    )
    monkeypatch.setattr(Place, "free", lambda _: 999)
    error = await refused(workers.prepare("job", SPEC, None))
    assert error.code == "disk_full"
    assert isinstance(error, InfrastructureError)
    assert error.details == {"part": "model files", "needed": 1000, "free": 999}
    assert (folder / "update").stat().st_size == 0


async def test_a_file_at_its_limit_is_told_with_what_to_do(
    saying: Callable[..., Workers], tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "job"
    folder.mkdir(parents=True)
    (folder / "state").write_bytes(bytes(10))
    workers = saying(
        {"": said_to_be("worker_failed")}, files=tmp_path / "models", written=lambda _: 0, state=10
    )
    error = await refused(workers.prepare("job", SPEC, None))
    assert "more than 10 bytes" in error.message
    assert "state_mb" in error.hint


async def test_a_changed_dataset_is_told_in_the_agents_own_words(
    saying: Callable[..., Workers], dataset: DatasetConfig
) -> None:
    workers = saying({"": said_to_be("dataset_changed")})
    error = await refused(workers.prepare("job", SPEC, dataset))
    assert (error.code, error.details) == ("dataset_changed", {"dataset": "clients"})
    assert (await refused(workers.describe(dataset, SALT))).code == "dataset_changed"


async def test_a_declaration_that_is_called_contradictory_is_checked(
    saying: Callable[..., Workers], dataset: DatasetConfig
) -> None:
    workers = saying({"": said_to_be("contradictory_schema")})
    assert (await refused(workers.prepare("job", SPEC, dataset))).code == "worker_failed"
    twice = replace(dataset, columns=dataset.columns * 2)
    error = await refused(workers.prepare("job", SPEC, twice))
    assert error.code == "contradictory_schema"
    assert "declared twice" in error.message


class Confining:
    """A sandbox in name, which starts nothing."""

    name, confines = "x", True

    async def start(self, launch: object) -> Any:
        raise SecureFlowError("sandbox_failed", str(launch))


async def test_files_are_looked_at_off_the_event_loop(
    tmp_path: Path, dataset: DatasetConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking: list[threading.Thread] = []

    def seen(*arguments: Any) -> Any:
        looking.append(threading.current_thread())
        return views(*arguments)

    monkeypatch.setattr(workers_module, "views", seen)
    workers = Workers(WorkerConfig(sandbox=Confining(), files=tmp_path / "models"))  # type: ignore[arg-type]
    assert (await refused(workers.describe(dataset, SALT))).code == "sandbox_failed"
    assert (await refused(workers.prepare("job", SPEC, dataset))).code == "sandbox_failed"
    assert len(looking) == 2
    assert threading.main_thread() not in looking


def test_a_dataset_that_vanished_is_not_shown_and_its_worker_says_so(tmp_path: Path) -> None:
    config = WorkerConfig(sandbox=Confining(), files=tmp_path / "models")  # type: ignore[arg-type]
    (shown,) = views(config, "job", str(tmp_path / "gone.csv")).inputs
    assert shown.inside == Path("/job")


def test_code_of_others_always_has_a_limit_of_time() -> None:
    assert WorkerSettings().seconds == 0, "an honest training may last days"
    assert WorkerSettings().others_seconds == OTHERS_SECONDS > 0
    assert WorkerSettings(seconds=7).others_seconds == 7


async def test_an_agents_workers_may_write_what_the_spec_needs_or_a_state(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    own = WorkerSettings(sandbox="off", state_mb=1)
    settings = world.settings.model_copy(update={"worker": own})
    module, hidden = "secureflow.agent.compute.worker", HiddenPlaces(settings)
    workers = await start_workers(settings, module, AGENT_KINDS, world.store, hidden)
    largest = workers._config.largest
    assert largest(dump(world.spec)) == 1 << 20 > 4 * world.spec.parameters
    wide = replace(world.spec, features=None, model=ModelSpec("rehearsal", 0.0, 1 << 20))
    assert largest(dump(wide)) == 4 << 20


# In a whole agent.

BUDGET = {"domain": "customers", "epsilon": 5.0, "delta": 1e-5}
PRIVATE: dict[str, Any] = {
    "plan": {"rounds": 3, "validation": 0.2},
    "privacy": {"delta": 1e-6, "noise_multiplier": 5.0, "rows": 1000, "metrics_noise": 5.0},
}


def private(directory: Path) -> World:
    return World(directory, privacy=BUDGET, spec_changes=PRIVATE, accounting=Analytic())


def instead(world: World, verb: str, what: Callable[[dict[str, Any]], Any]) -> None:
    """Let the worker do something else for a step, or for the preparation."""
    name = verb if hasattr(world.worker, verb) else "compute"
    real = getattr(world.worker, name)

    async def done(*arguments: Any) -> Any:
        if name == verb or arguments[1] == verb:
            return what(arguments[2] if name == "compute" else {})
        return await real(*arguments)

    setattr(world.worker, name, done)


def raising(error: SecureFlowError) -> Callable[[Any], Any]:
    def fail(_: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("verb", ["prepare", "train"])
async def test_a_private_jobs_worker_cannot_say_rows_by_calling_the_file_changed(
    tmp_path: Path, verb: str
) -> None:
    world = private(tmp_path / "agent")
    await world.admitted()
    lie = SecureFlowError("dataset_changed", SECRET, SECRET, {"rows": [SECRET]})
    instead(world, verb, raising(lie))
    error = await refused(world.ask("train", world.train_body()))
    assert error.code == "private_step_failed", "the file is the published one"
    world.data.write_text("age,job,income\n42,y,high\n")
    error = await refused(world.ask("train", world.train_body()))
    assert error.as_json() == {
        "code": "dataset_changed",
        "message": "The file of dataset 'customers' is not the one that its owner published.",
        "hint": error.hint,
        "details": {"dataset": "customers"},
        "texts": error.as_json()["texts"],
    }


@pytest.mark.parametrize("length", [0, 4, 4096])
async def test_a_private_jobs_worker_cannot_say_rows_by_the_length_of_its_update(
    tmp_path: Path, length: int
) -> None:
    world = private(tmp_path / "agent")
    await world.admitted()

    def wrote(arguments: dict[str, Any]) -> dict[str, Any]:
        Path(arguments["update"]).write_bytes(bytes(length))
        return world.worker._answer("train")

    instead(world, "train", wrote)
    error = await refused(world.ask("train", world.train_body()))
    assert error.code == "private_step_failed"
    assert "bytes" not in error.message


WORDS: dict[str, tuple[float, float, float]] = {
    "a weight": (0.123456789, 1.0, 1.0),
    "a seed": (1.0, 0.123456789, 1.0),
    "a norm": (1.0, 1.0, 1.25e20),
    "no number": (1.0, 1.0, float("nan")),
}
"""What an update says where only noise hides it: weight, seed, values."""


@pytest.mark.parametrize("what", WORDS)
async def test_a_private_jobs_worker_cannot_say_rows_by_an_update_that_is_refused(
    tmp_path: Path, what: str
) -> None:
    world = private(tmp_path / "agent")
    await world.admitted()
    weight, seed, value = WORDS[what]

    def wrote(arguments: dict[str, Any]) -> dict[str, Any]:
        values = np.full(world.spec.parameters, value, "<f4")
        Path(arguments["update"]).write_bytes(values.tobytes())
        sums = world.worker._answer("train")["sums"]
        return {"sums": [weight, *sums[1:-1], seed], "seconds": 0.0}

    instead(world, "train", wrote)
    assert len(world.worker._answer("train")["sums"]) > 1
    error = await refused(world.ask("train", world.train_body()))
    assert error.code == "private_step_failed"
    assert not world.enclave.opened


async def test_what_a_worker_says_makes_no_accusation(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    await world.admitted()
    leaves = len(world.store.leaves(JOB))
    for code in ("setup_changed", "model_inconsistent", "budget_rolled_back"):
        instead(world, "train", raising(WorkerError(code, "x", "", {"signer": "bank-b"})))
        error = await refused(world.ask("train", world.train_body()))
        assert "accusation" not in error.details
    assert len(world.store.leaves(JOB)) == leaves
    assert "accused" not in {one["action"] for one in world.store.actions(job=JOB)}


async def test_an_update_is_what_it_was_when_it_was_taken(tmp_path: Path) -> None:
    """Its worker writes on: into its own file, which nobody reads any more."""
    world = World(tmp_path / "agent")
    await world.admitted()
    handles: list[int] = []
    honest = world.worker.compute

    async def writing(job: str, step: str, arguments: Any = None) -> dict[str, Any]:
        answer = await honest(job, step, arguments)
        if step == "train":
            handles.append(os.open(arguments["update"], os.O_RDWR))
        return answer

    world.worker.compute = writing  # type: ignore[method-assign]
    await world.ask("train", world.train_body(1))
    first = next(iter(world.enclave.opened.values()))
    os.pwrite(handles[0], b"EVIL" * 100, 0)
    await world.ask("train", world.train_body(1))  # sealed again
    os.ftruncate(handles[0], 0)
    await world.ask("train", world.train_body(1))
    assert set(map(bytes, world.enclave.opened.values())) == {bytes(first)}
    assert np.frombuffer(first[:8], "<f4").any()
    assert (world.settings.models / JOB / "update").stat().st_size == 0
    os.close(handles[0])


async def test_a_long_answer_is_read_beside_the_work_of_others(
    saying: Callable[..., Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, threading.Thread]] = []
    reply = worker_process._reply

    def reading(said: bytes) -> dict[str, Any]:
        read.append((len(said), threading.current_thread()))
        return reply(said)

    monkeypatch.setattr(worker_process, "_reply", reading)
    long = '{"id": ID, "answer": {"sums": [' + "0," * 200_000 + "0]}}"
    workers = saying({"prepare": PREPARED, "train": long})
    await workers.prepare("job", SPEC, None)
    assert len((await workers.compute("job", "train"))["sums"]) == 200_001
    assert [one is threading.main_thread() for _, one in read] == [True, False]
    await workers.stop()
