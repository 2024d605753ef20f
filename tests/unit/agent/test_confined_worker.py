"""The built-in worker in the real sandbox: all that it does outside of one, and no more."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.sandboxes import demand_sandbox

from secureflow.adapters.sandbox import BubblewrapSandbox, PlainSandbox
from secureflow.agent.compute import standstill, worker_process
from secureflow.agent.compute.jobfiles import UPDATE
from secureflow.agent.compute.psi import result_arguments
from secureflow.agent.compute.worker_process import (
    Views,
    WorkerConfig,
    WorkerDied,
    WorkerProcess,
    views,
)
from secureflow.agent.compute.workers import Workers
from secureflow.agent.settings import WorkerSettings
from secureflow.application.ports.sandbox import Launch
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dump
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_worker import (
    REHEARSAL,
    SALT,
    SPEC,
    code_of,
    dataset,
    evaluate,
    limits_of,
    raw,
    train,
)

pytestmark = pytest.mark.slow

__all__ = ["dataset"]


@pytest.fixture
def config(tmp_path: Path) -> WorkerConfig:
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    agent = tmp_path / "agent"
    return WorkerConfig(
        memory=4 << 30,
        sandbox=BubblewrapSandbox(),
        files=agent / "models",
        hidden=(agent,),
        scratch=1 << 20,
    )


@pytest.fixture
async def workers(config: WorkerConfig) -> AsyncIterator[Workers]:
    workers = await Workers.start(config)
    yield workers
    await workers.stop()


@pytest.fixture
def job(config: WorkerConfig) -> Path:
    """Return the job's folder as the agent makes it."""
    assert config.files is not None
    (config.files / "job").mkdir(parents=True, mode=0o700)
    return config.files / "job"


async def test_a_job_computes_what_it_computes_without_a_sandbox(
    workers: Workers, dataset: DatasetConfig, job: Path, tmp_path: Path
) -> None:
    model = raw(job / "first.model", np.array([0.1, -0.2, 0.3, 0.0]))
    found = []
    bare = await Workers.start()
    for each, update in ((workers, job / UPDATE), (bare, tmp_path / "bare")):
        described = await each.describe(dataset, SALT)
        await each.check("job", dump(SPEC), dataset)
        prepared = await each.prepare("job", dump(SPEC), dataset, SALT, described["commitment"])
        sums = (await each.compute("job", "moments"))["sums"]
        trained = await train(each, model, update, sums)
        written = update.read_bytes()
        second = raw(job / "second.model", np.array([0.2, 0.1, 0.0, 0.1]))  # of a later round
        evaluated = await evaluate(each, second, sums)
        parts = (trained["sums"], evaluated["sums"], written)
        found.append((described, prepared, sums, *parts))
    await bare.stop()
    assert found[0] == found[1]


async def test_it_sees_its_dataset_and_its_jobs_files_and_writes_its_update(
    config: WorkerConfig, dataset: DatasetConfig, job: Path
) -> None:
    assert config.files is not None
    (config.files / "job_other").mkdir()
    (config.files.parent / "signing.key").write_text("SECRET")
    seen = views(config, "job", dataset.path)
    code = (
        "import os, sys\n"
        "def tried(path, mode):\n"
        " try: open(path, mode).close(); return True\n"
        " except OSError: return False\n"
        f"print([tried(p, m) for p, m in (('/job/{UPDATE}', 'r+'), ('/inputs/clients.csv', 'r'), "
        "('/inputs/clients.csv', 'r+'), ('/job/new', 'w'), "
        f"({str(config.files.parent / 'signing.key')!r}, 'r'), ({dataset.path!r}, 'r'))], "
        f"os.path.exists({str(config.files)!r}), sorted(os.listdir('/job')))"
    )
    launch = Launch(
        (sys.executable, "-I", "-c", code), {}, seen.inputs, seen.outputs, config.hidden
    )
    process = await config.sandbox.start(launch)
    said = await process.reader.read()
    assert await process.wait() == 0, process.printed
    assert said == b"[True, True, False, False, False, False] False ['rows', 'state', 'update']\n"


async def test_a_killed_worker_is_replaced_and_a_replaced_file_is_seen(
    workers: Workers, dataset: DatasetConfig, tmp_path: Path
) -> None:
    await workers.prepare("job", dump(SPEC), dataset)
    expected = (await workers.compute("job", "moments"))["sums"]
    pid = workers.pids()["job"]
    killed = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([killed], [], [], 60)[0]  # nothing of it is left
    os.close(killed)
    assert (await workers.compute("job", "moments"))["sums"] == expected
    assert workers.pids()["job"] != pid
    _replace(Path(dataset.path), tmp_path / "other.csv", b"0.5,a,1,z\n")
    assert await code_of(workers.compute("job", "moments")) == "dataset_changed"
    rows = await workers.prepare("job", dump(SPEC), dataset)
    assert rows["rows"] + rows["validation"] == 401


def _replace(path: Path, other: Path, more: bytes) -> None:
    """Put another file in its place, as an owner does."""
    other.write_bytes(path.read_bytes() + more)
    other.replace(path)


async def test_a_cancelled_request_leaves_nothing_behind(
    workers: Workers, dataset: DatasetConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await workers.prepare("job", dump(SPEC), dataset)
    pid = workers.pids()["job"]
    sent, exchange = asyncio.Event(), WorkerProcess._exchange

    async def exchanged(process: WorkerProcess, line: bytes) -> Any:
        await process._process.freeze()
        sent.set()
        return await exchange(process, line)

    monkeypatch.setattr(WorkerProcess, "_exchange", exchanged)
    asking = asyncio.create_task(workers.compute("job", "moments"))
    await sent.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_request_that_lasts_too_long_ends_with_its_process(config: WorkerConfig) -> None:
    process = await WorkerProcess.start(replace(config, seconds=0.2))
    await process._process.freeze()  # a signal would reach the sandbox's first process alone
    with pytest.raises(SecureFlowError) as caught:
        await process.request("close", {"job": "job"})
    assert caught.value.code == "worker_too_slow"
    assert caught.value.hint
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_a_worker_that_stands_still_is_replaced_and_one_that_always_does_is_told(
    workers: Workers, dataset: DatasetConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody sets a limit of time for SecureFlow's own code: its job would wait for ever."""
    await workers.prepare("job", dump(SPEC), dataset)
    expected = (await workers.compute("job", "moments"))["sums"]
    stands = partial(standstill.stands_still, seconds=0.25, looks=8)
    monkeypatch.setattr(worker_process, "stands_still", stands)
    process, exchange = workers._jobs["job"].process, WorkerProcess._exchange
    assert process is not None
    await process._process.freeze()
    assert (await workers.compute("job", "moments"))["sums"] == expected

    async def stopped(process: WorkerProcess, line: bytes) -> Any:
        await process._process.freeze()
        return await exchange(process, line)

    monkeypatch.setattr(WorkerProcess, "_exchange", stopped)
    assert await code_of(workers.compute("job", "moments")) == "worker_too_slow"


async def test_what_a_process_and_all_below_it_use_is_seen() -> None:
    busy = "import time, sys; print(1, flush=True)\nwhile True: pass"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", outer, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        began = standstill.used_by(process.pid)
        async with asyncio.timeout(60):
            while standstill.used_by(process.pid) <= began:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        still = asyncio.create_task(standstill.stands_still(process.pid, seconds=0.2, looks=5))
        await asyncio.sleep(0.5)
        assert not still.done()
        os.killpg(process.pid, signal.SIGSTOP)
        async with asyncio.timeout(60):
            await still
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    assert standstill.used_by(process.pid) == -1


async def test_its_files_have_the_size_of_its_update_or_its_state(
    config: WorkerConfig, dataset: DatasetConfig
) -> None:
    for update, state in ((123_456, 1000), (1000, 654_321)):
        sized = replace(config, written=lambda _, update=update: update, state=state)
        workers = await Workers.start(sized)
        await workers.prepare("job", dump(SPEC), dataset)
        most = max(update, state)
        assert f"Max file size {most} {most} bytes" in limits_of(workers.pids()["job"])
        await workers.stop()


async def test_what_a_worker_printed_before_it_died_is_logged(
    config: WorkerConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    process = await WorkerProcess.start(replace(config, module="no.such.module"))
    with pytest.raises(WorkerDied):
        await process.request("close", {"job": "job"})
    assert b"No module named 'no'" in process.printed
    assert "No module named" in "".join(capfd.readouterr())


def test_another_users_file_is_refused_where_only_root_could_read_it(
    config: WorkerConfig, dataset: DatasetConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("an ordinary user reads no such file anyway")
    os.chown(dataset.path, 61_000, 61_000)
    Path(dataset.path).chmod(0o600)
    with pytest.raises(SecureFlowError) as caught:
        views(config, "", dataset.path)
    assert caught.value.code == "dataset_unreadable"
    assert "chown" in caught.value.hint
    Path(dataset.path).chmod(0o604)
    assert len(views(config, "", dataset.path).inputs) == 1
    Path(dataset.path).chmod(0o640)
    monkeypatch.setattr(os, "getgroups", lambda: [61_000])
    assert len(views(config, "", dataset.path).inputs) == 1


def test_no_job_names_a_folder_elsewhere(config: WorkerConfig) -> None:
    for name in ("..", "../x", "/etc", "a/b", ""):
        assert views(config, name) == Views()
    assert views(replace(config, sandbox=PlainSandbox()), "job", "/etc/passwd") == Views()


async def test_only_paths_are_translated(config: WorkerConfig, job: Path) -> None:
    seen = views(config, "job")
    process = await WorkerProcess.start(config, seen)
    try:
        asked = {
            "update": str(job / UPDATE),
            "seed": "ab",
            "spec": {"name": str(job)},
            "dataset": None,
        }
        assert process._inside(asked) == {**asked, "update": f"/job/{UPDATE}"}
        other = {"model": str(job.parent / "job_other" / UPDATE)}
        assert process._inside(other) == other
    finally:
        await process.kill()


PARENT = """
import asyncio, sys
from dataclasses import replace
from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.agent.compute.worker_process import WorkerConfig, WorkerProcess

async def main():
    process = await WorkerProcess.start(WorkerConfig(sandbox=BubblewrapSandbox()))
    await process.request("close", {"job": "job"})
    print(process.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_files_of_peers_are_found_in_the_sandbox(config: WorkerConfig, job: Path) -> None:
    """A worker of an intersection looked for them where the agent has them."""
    process = await WorkerProcess.start(config, views(config, "job"))
    theirs = {one: str(job / f"theirs.{one}") for one in ("bank-b", "bank-c")}
    try:
        asked = process._inside(result_arguments("bank-a", job / "matches", theirs, job / "rows"))
        assert asked["theirs"] == [[one, f"/job/theirs.{one}"] for one in theirs]
        assert str(job) not in json.dumps(asked)
    finally:
        await process.kill()


def test_a_confined_worker_does_not_outlive_its_agent(config: WorkerConfig) -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    ended, _, _ = select.select([worker], [], [], 30)
    os.close(worker)
    assert ended


def test_a_request_of_an_agent_that_is_gone_is_not_served() -> None:
    """It could be older than the moment from which bubblewrap ends with its agent."""
    request = b'{"id": 7, "verb": "close", "arguments": {"job": "j"}}\n'
    for close in (False, True):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(request)
            heard = os.dup(ours.fileno())
            if close:
                os.close(heard)
                ours.close()
            else:
                ours.shutdown(socket.SHUT_WR)
                os.close(heard)
            with subprocess.Popen(
                [sys.executable, "-I", "-m", "secureflow.agent.compute.worker"],
                stdin=theirs,
                stdout=subprocess.PIPE,
            ) as worker:
                assert worker.stdout is not None
                said = worker.stdout.read()
        assert said == (b"" if close else b'{"id": 7, "answer": {}}\n')


async def test_a_rehearsal_in_the_sandbox(workers: Workers, job: Path) -> None:
    await workers.prepare("job", dump(REHEARSAL), None)
    for _ in range(2):
        await train(workers, job / "never read", job / UPDATE, None)
        made = (job / UPDATE).stat()
        assert (made.st_size, made.st_blocks) == (4 << 20, 0)


@pytest.mark.parametrize("device", ["/etc/passwd", "/dev/../etc/passwd", "nvidia0", "/dev"])
def test_a_device_lies_below_dev(device: str) -> None:
    with pytest.raises(ValueError, match="is no device"):
        WorkerSettings.model_validate({"devices": [device]})
    assert WorkerSettings.model_validate({"devices": ["/dev/nvidia0"]}).devices
