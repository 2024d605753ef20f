"""What is particular to the sandboxes; what every scheduler does: `tests/contract/scheduler`."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from peers.sandboxes import counts_in, demand_sandbox, free_uid, stands_still

from secureflow.adapters.sandbox import BubblewrapSandbox, PlainSandbox, choose_sandbox
from secureflow.adapters.sandbox import choice as choosing
from secureflow.adapters.sandbox.cgroups import Cgroup, Cgroups
from secureflow.application.ports.sandbox import Launch, Sandbox, View
from secureflow.kit.errors import SecureFlowError
from tests.contract.scheduler.adapters import ADAPTERS, PYTHON, WAIT, ended, running


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_one_whose_every_process_was_stopped_ends_like_others(adapter: str) -> None:
    """The outer one, too, which waits for the end of the others."""
    process = await ADAPTERS[adapter]().start(Launch((*PYTHON, WAIT)))
    assert await process.reader.readline() == b"1\n"
    outer = process._process.pid  # type: ignore[attr-defined]
    for pid in {process.pid, outer}:
        os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(60):
        assert await ended(process) == 128 + signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(outer, 0)


@pytest.mark.parametrize("by", ["a group", "signals", "signals to two", "no sandbox"])
async def test_it_stands_still_and_goes_on(by: str, tmp_path: Path) -> None:
    """Every thread and process of it, as often as one likes."""
    (tmp_path / "counted").write_bytes(bytes(16))
    sandbox: Sandbox = PlainSandbox()
    forks = by == "signals to two"
    if by != "no sandbox":
        demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
        sandbox = BubblewrapSandbox(cgroups=by == "a group", without={"clone"} if forks else ())
    outputs = (View(tmp_path / "counted", Path("/out/counted")),)
    launch = Launch((*PYTHON, ""), outputs=outputs)
    where = sandbox.inside(launch, tmp_path / "counted")
    program = counts_in(str(where), forks=forks)
    process = await sandbox.start(replace(launch, command=(*PYTHON, program)))
    try:
        assert await process.reader.readline() == b"1\n"
        await stands_still(process, tmp_path / "counted")
    finally:
        await process.kill()


SLEEPER = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 202, "aarch64": 98}[os.uname().machine]
word, limit = ctypes.c_uint(7), (ctypes.c_long * 2)(0, 50_000_000)
libc.syscall(number, ctypes.byref(word), 0, 7, limit, None, 0)
print(errno.errorcode[ctypes.get_errno()], end="", flush=True)
"""


@pytest.mark.parametrize(("shared", "ends"), [(False, "EAGAIN"), (True, "ETIMEDOUT")])
async def test_threads_sleep_on_shared_memory_where_it_is_allowed(shared: bool, ends: str) -> None:
    """A wait of libstdc++'s `std::future` turns on a processor where it is not."""
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    launch = Launch((*PYTHON, SLEEPER), shared_futexes=shared)
    process = await BubblewrapSandbox().start(launch)
    told = await process.reader.read()
    await process.kill()
    assert told.decode() == ends


async def test_one_that_cannot_be_limited_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    (tmp_path / "done").touch()
    outputs = (View(tmp_path / "done", Path("/out/done")),)
    mark = f"mark-unlimited-{os.getpid()}"
    code = f"import time; open('/out/done', 'w').write('{mark}'); time.sleep(600)"
    lost = Cgroup((tmp_path / "gone",), frozenset({"pids"}))
    monkeypatch.setattr(Cgroups, "make", lambda self, limits: lost)
    with pytest.raises(SecureFlowError) as caught:
        await BubblewrapSandbox().start(Launch((*PYTHON, code, mark), outputs=outputs))
    assert caught.value.code == "sandbox_failed"
    while running(mark):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.02)
    assert (tmp_path / "done").read_text() == ""


PARENT = f"""
import asyncio, sys
from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.application.ports.sandbox import Launch

async def main():
    sandbox = BubblewrapSandbox(cgroups=sys.argv[1] != "signals")
    process = await sandbox.start(Launch({(*PYTHON, WAIT)!r}))
    await process.reader.readline()
    if sys.argv[1] != "running":
        await process.freeze()
    print(process.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["running", "in a group", "signals"])
def test_a_confined_one_ends_with_who_started_it(how: str) -> None:
    """Whether it listens to its channel or not, runs or stands still."""
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, how], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        confined = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    ended, _, _ = select.select([confined], [], [], 30)
    if not ended:
        signal.pidfd_send_signal(confined, signal.SIGKILL)
    os.close(confined)
    assert ended


async def test_an_owner_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await choose_sandbox("off")).sandbox.name == "none"
    monkeypatch.setattr(choosing.shutil, "which", lambda name: None)
    chosen = await choose_sandbox("auto")
    assert not chosen.sandbox.confines
    assert chosen.reason == "bubblewrap is not installed"
    with pytest.raises(SecureFlowError) as caught:
        await choose_sandbox("require")
    assert caught.value.code == "sandbox_missing"
    assert "apt-get install bubblewrap" in caught.value.hint


async def test_bubblewrap_is_chosen_where_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    chosen = await choose_sandbox("require")
    assert chosen.sandbox.confines
    assert not chosen.reason
    broken = tmp_path / "bwrap"
    broken.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2; exit 1\n"
    )
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for mode in ("auto", "require"):  # it is there, so something keeps it from running
        with pytest.raises(SecureFlowError) as caught:
            await choose_sandbox(mode)
        assert caught.value.code == "sandbox_missing"
        assert "No permissions to create a new namespace" in caught.value.message
    assert (await choose_sandbox("off")).sandbox.name == "none"
    assert free_uid() != os.getuid()
