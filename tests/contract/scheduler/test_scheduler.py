"""One suite over every scheduler: what a unit of work gets, how it ends, and that nothing stays.

`application.ports.sandbox` states the contract; `docs/extending.md` says how another one is added.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from secureflow.application.ports.sandbox import PRINTED, Launch, Limits, Sandbox, View
from secureflow.kit.errors import SecureFlowError
from tests.contract.scheduler.adapters import ADAPTERS, PYTHON, WAIT, end_marked, ended, running

ECHO = "import sys\nfor line in sys.stdin: sys.stdout.write(line.upper()); sys.stdout.flush()"
CHILD = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    time.sleep(600)
print(1, flush=True)
time.sleep(600)
"""


@pytest.fixture(params=ADAPTERS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return ADAPTERS[request.param]()


async def output(sandbox: Sandbox, code: str, **more: object) -> bytes:
    launch = Launch((*PYTHON, code), **more)  # type: ignore[arg-type]
    process = await sandbox.start(launch)
    said = await process.reader.read()
    assert await process.wait() == 0, process.printed
    return said


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


async def test_one_that_is_kept_still_ends_like_others(sandbox: Sandbox) -> None:
    process = await sandbox.start(Launch((*PYTHON, WAIT)))
    assert await process.reader.readline() == b"1\n"
    await process.freeze()
    assert await ended(process) == 128 + signal.SIGKILL
    await process.freeze()  # afterwards is no fault
    await process.thaw()


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
    while running(mark):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.02)


async def test_what_it_started_ends_with_it_within_seconds(sandbox: Sandbox) -> None:
    """A process of its own session as well, whose parent is told nothing."""
    mark = f"mark-child-{os.getpid()}"
    process = await sandbox.start(Launch((*PYTHON, CHILD, mark)))
    assert await process.reader.readline() == b"1\n"
    async with asyncio.timeout(10):
        assert await ended(process) == 128 + signal.SIGKILL
        if sandbox.confines:  # the other one is only tidy
            while running(mark):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
    end_marked(mark)


async def test_several_run_beside_each_other_and_each_ends_alone(sandbox: Sandbox) -> None:
    """How many there may be is the caller's to say (`worker: warm`): none waits for another."""
    processes = await asyncio.gather(*(sandbox.start(Launch((*PYTHON, ECHO))) for _ in range(4)))
    assert len({process.pid for process in processes}) == 4
    await processes[0].kill()
    for process in processes[1:]:
        process.writer.write(b"on\n")
        assert await process.reader.readline() == b"ON\n"
    assert [await ended(process) for process in processes] == [128 + signal.SIGKILL] * 4


async def test_what_it_prints_is_kept_up_to_a_bound_and_holds_up_nothing(sandbox: Sandbox) -> None:
    code = "import sys; sys.stderr.write('x' * (1 << 20) + 'the end'); sys.stderr.flush()"
    process = await sandbox.start(Launch((*PYTHON, code)))
    async with asyncio.timeout(30):
        assert await process.wait() == 0
    assert len(process.printed) <= PRINTED
    assert not process.starved
