"""One suite over both sandboxes: what a process gets, and that it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from peers.sandboxes import counts_in, demand_sandbox, free_uid, stands_still

from secureflow.adapters.sandbox import BubblewrapSandbox, PlainSandbox, choose_sandbox
from secureflow.adapters.sandbox import choice as choosing
from secureflow.adapters.sandbox.cgroups import Cgroup, Cgroups
from secureflow.application.ports.sandbox import Launch, Limits, Sandbox, SandboxProcess, View
from secureflow.kit.errors import SecureFlowError

PYTHON = (sys.executable, "-I", "-S", "-c")
ECHO = "import sys\nfor line in sys.stdin: sys.stdout.write(line.upper()); sys.stdout.flush()"
WAIT = "import time; print(1, flush=True); time.sleep(600)"


@pytest.fixture(params=["none", "bubblewrap"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param == "none":
        return PlainSandbox()
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")
    return BubblewrapSandbox()


async def output(sandbox: Sandbox, code: str, **more: object) -> bytes:
    launch = Launch((*PYTHON, code), **more)  # type: ignore[arg-type]
    process = await sandbox.start(launch)
    said = await process.reader.read()
    assert await process.wait() == 0, process.printed
    return said


async def ended(process: SandboxProcess) -> int:
    await process.kill()
    return await process.wait()


async def test_its_standard_streams_are_the_channel(sandbox: Sandbox) -> None:
    process = await sandbox.start(Launch((*PYTHON, ECHO)))
    for word in (b"first\n", b"second\n", b"x" * 100_000 + b"\n"):
        process.writer.write(word)
        assert await process.reader.readline() == word.upper()
    process.writer.write_eof()
    assert await process.reader.read() == b""
    assert await process.wait() == 0


async def test_descriptors_can_be_passed_over_it(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "given").write_bytes(b"only by its descriptor")
    code = (
        "import array, os\n"
        "from _socket import socket as raw, CMSG_LEN\n"
        "s = raw(1, 1, 0, fileno=0)\n"
        "said, given, _, _ = s.recvmsg(16, CMSG_LEN(4))\n"
        "handle = array.array('i', given[0][2])[0]\n"
        "os.write(1, said + os.pread(handle, 100, 0))"
    )
    process = await sandbox.start(Launch((*PYTHON, code)))
    with (tmp_path / "given").open("rb") as given:
        duplicate = socket.socket(fileno=os.dup(process.channel.fileno()))
        with duplicate:
            duplicate.sendmsg(
                [b"x"],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, given.fileno().to_bytes(4, "little"))],
            )
    assert await process.reader.read() == b"xonly by its descriptor"
    await process.kill()


async def test_its_environment_is_what_it_was_given(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_AGENT_TOKEN", "hunter2")
    code = "import os; print(dict(os.environ))"
    said = await output(sandbox, code, environment={"GIVEN": "value"})
    assert b"'GIVEN': 'value'" in said
    assert b"hunter2" not in said


async def test_it_has_no_descriptor_of_ours(sandbox: Sandbox, tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        code = (
            "import os\ndef there(n):\n try: os.fstat(n); return True\n except OSError: pass\n"
            "print([n for n in range(3, 999) if there(n)])"
        )
        assert await output(sandbox, code) == b"[]\n"


async def test_it_finds_inputs_and_writes_outputs(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "input").write_text("to be read")
    (tmp_path / "output").touch()
    inputs = (View(tmp_path / "folder", Path("/inputs")),)
    launch = Launch((), {}, inputs, (View(tmp_path / "output", Path("/out/put")),))
    found, written = (
        sandbox.inside(launch, tmp_path / name) for name in ("folder/input", "output")
    )
    code = f"open({str(written)!r}, 'w').write(open({str(found)!r}).read())"
    await output(sandbox, code, inputs=launch.inputs, outputs=launch.outputs)
    assert (tmp_path / "output").read_text() == "to be read"
    assert sandbox.inside(launch, Path("/elsewhere")) == Path("/elsewhere")
    assert (found != tmp_path / "folder/input") is sandbox.confines


async def test_it_is_ended_by_who_started_it(sandbox: Sandbox) -> None:
    process = await sandbox.start(Launch((*PYTHON, WAIT)))
    assert await process.reader.readline() == b"1\n"
    os.kill(process.pid, signal.SIGSTOP)
    assert await ended(process) == 128 + signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    assert await ended(process) == 128 + signal.SIGKILL  # again is no fault
    assert await process.reader.read() == b""


async def test_one_whose_every_process_was_stopped_ends_like_others(sandbox: Sandbox) -> None:
    """The outer one, too, which waits for the end of the others."""
    process = await sandbox.start(Launch((*PYTHON, WAIT)))
    assert await process.reader.readline() == b"1\n"
    outer = process._process.pid  # type: ignore[attr-defined]
    for pid in {process.pid, outer}:
        os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(60):
        assert await ended(process) == 128 + signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(outer, 0)


async def test_one_that_is_kept_still_ends_like_others(sandbox: Sandbox) -> None:
    process = await sandbox.start(Launch((*PYTHON, WAIT)))
    assert await process.reader.readline() == b"1\n"
    await process.freeze()
    assert await ended(process) == 128 + signal.SIGKILL
    await process.freeze()  # afterwards is no fault
    await process.thaw()


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


async def test_its_own_end_has_a_code(sandbox: Sandbox) -> None:
    process = await sandbox.start(Launch((*PYTHON, "raise SystemExit(7)")))
    assert await process.wait() == 7


async def test_it_is_held_to_limits(sandbox: Sandbox) -> None:
    code = (
        "import resource as r; print([r.getrlimit(one)[1] for one in "
        "(r.RLIMIT_AS, r.RLIMIT_FSIZE, r.RLIMIT_CORE)], flush=True); input()\n"
        "try: bytes(2 << 30)\nexcept MemoryError: print('no memory')"
    )
    limits = Limits(memory=1 << 30, file_size=1 << 20)
    process = await sandbox.start(Launch((*PYTHON, code), limits=limits))
    process.writer.write(b"\n")
    process.writer.write_eof()
    said = (await process.reader.read()).decode().splitlines()
    assert said[-1] == "no memory"
    await process.kill()
    if sandbox.confines:  # the other one may still be on its way to them when it looks
        assert said[0] == str([1 << 30, 1 << 20, 0])


async def test_a_program_that_is_missing_is_a_typed_error(sandbox: Sandbox) -> None:
    with pytest.raises(SecureFlowError) as caught:
        await sandbox.start(Launch(("/nonexistent/python",)))
    assert caught.value.code == "sandbox_failed"
    assert caught.value.hint


async def test_one_that_is_cancelled_while_it_starts_is_not_left_behind(sandbox: Sandbox) -> None:
    mark = f"mark-{os.getpid()}"
    for turns in range(6):
        starting = asyncio.create_task(sandbox.start(Launch((*PYTHON, WAIT, mark))))
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        try:
            await ended(await starting)
        except asyncio.CancelledError:
            continue
    while _running(mark):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.02)


def _running(mark: str) -> bool:
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if mark.encode() in one.read_bytes():
                return True
    return False


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
    while _running(mark):  # noqa: ASYNC110 - nobody tells
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
