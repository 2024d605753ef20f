"""Without a cgroup that freezes, code stands still that keeps its namespace from being told."""

from __future__ import annotations

import asyncio
import errno
import mmap
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from peers.sandboxes import IDENTITIES, as_identity, demand_sandbox, folder_of, interpreter

from secureflow.adapters.sandbox import BubblewrapSandbox, freezing
from secureflow.adapters.sandbox.freezing import stands
from secureflow.application.ports.sandbox import Launch, Limits, SandboxProcess, View

COUNTS = """
import ctypes, mmap, os, threading, time
libc = ctypes.CDLL(None)
shared = mmap.mmap(os.open(OUT, os.O_RDWR), 8)
def count():
    number = 0
    while True:
        number += 1
        shared[:] = number.to_bytes(8, "little")
def leave():
    threading.Thread(target=count).start()
    time.sleep(0.1)
    libc.pthread_exit(None)
print("begun", flush=True)
"""
HOW = {
    "nothing": "count()",
    "secrecy": "assert libc.prctl(4, 0) == 0; count()",
    "no first thread": "leave()",
    "secrecy without a first thread": "assert libc.prctl(4, 0) == 0; leave()",
    "a name": "assert libc.prctl(15, b') R \\xff') == 0; count()",
}
SECRET = "import ctypes, time; ctypes.CDLL(None).prctl(4, 0); print(1, flush=True); time.sleep(600)"


async def counting(
    folder: Path, python: str, body: str, *inputs: View
) -> tuple[SandboxProcess, Path]:
    """Start what counts in a file of this folder."""
    counted = folder / "counted"
    counted.write_bytes(bytes(8))
    sandbox = BubblewrapSandbox(cgroups=False, without={"secrecy"})
    outputs = (View(counted, Path("/out/counted")),)
    limits = Limits(memory=1 << 29, processes=64)
    launch = Launch((python,), inputs=inputs, outputs=outputs, limits=limits)
    program = COUNTS.replace("OUT", repr(str(sandbox.inside(launch, counted)))) + body
    started = await sandbox.start(replace(launch, command=(python, "-I", "-S", "-c", program)))
    assert await started.reader.readline() == b"begun\n"
    return started, counted


async def frozen(folder: Path, python: str, body: str, *inputs: View) -> list[list[int]]:
    """Return what was counted before and after a while of each freeze."""
    process, counted = await counting(folder, python, body, *inputs)
    found = []
    with counted.open("rb") as file, mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ) as seen:
        try:
            for _ in range(2):
                before = seen[:]
                async with asyncio.timeout(60):
                    while seen[:] == before:  # noqa: ASYNC110 - nobody tells
                        await asyncio.sleep(0.01)
                await asyncio.sleep(0.2)  # its first thread has ended
                await process.freeze()
                before = seen[:]
                await asyncio.sleep(0.2)
                found.append([int.from_bytes(one, "little") for one in (before, seen[:])])
                await process.thaw()
        finally:
            await process.kill()
    return found


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("identity", IDENTITIES)
def test_code_that_hides_stands_still(identity: str, how: str) -> None:
    demand_sandbox(identity)
    with folder_of(identity) as folder:
        work = partial(frozen, folder, interpreter(identity), HOW[how])
        for before, after in as_identity(identity, work):
            assert before == after


def test_a_program_that_it_may_not_read_stands_still() -> None:
    """Its owner is no user of the sandbox: the kernel tells root alone about who runs it."""
    if os.geteuid() != 0:
        pytest.skip("only root can make such a program")
    demand_sandbox("ordinary")
    python = interpreter("ordinary")
    with folder_of("ordinary") as folder, folder_of("root") as others:
        others.chmod(0o711)
        program = others / "program"
        shutil.copy(Path(python).resolve(), program)
        program.chmod(0o711)
        inside = View(program, Path("/in/program"))
        replaced = COUNTS.replace("OUT", "'/out/counted'") + "count()"
        body = f"os.execv('/in/program', [{python!r}, '-I', '-S', '-c', {replaced!r}])"
        for before, after in as_identity("ordinary", partial(frozen, folder, python, body, inside)):
            assert before == after


def numbers() -> list[int]:
    return [int(one.name) for one in Path("/proc").glob("[0-9]*")]


async def refused(folder: Path, python: str, why: str) -> list[object]:
    """Freeze where the namespace of what is inside is not told, and its parents' neither."""
    process, _ = await counting(folder, python, "count()")
    namespace = freezing._namespace
    space = namespace(process.pid)

    def hidden(pid: int) -> int:
        told = namespace(pid)
        if why == "another's number" and pid == process.pid:
            return 1
        return 0 if told == space and pid != process.pid else told

    inside = [one for one in numbers() if one != process.pid and namespace(one) == space]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(freezing, "PATIENCE", 0.3)
        patch.setattr(freezing, "_namespace", hidden)
        if why == "no parents":
            patch.setattr(freezing, "_parent", untold)
        try:
            await process.freeze()
        except OSError as error:
            return [error.errno, len(inside), *map(stands, inside)]
        finally:
            await process.kill()
    return []


def untold(pid: int) -> NoReturn:
    raise PermissionError(errno.EPERM, "", str(pid))


@pytest.mark.parametrize("why", ["no parents", "another's number"])
@pytest.mark.parametrize("identity", IDENTITIES)
def test_where_nothing_tells_a_freeze_fails(identity: str, why: str) -> None:
    """One that may be another's is sent nothing."""
    demand_sandbox(identity)
    with folder_of(identity) as folder:
        found = as_identity(identity, partial(refused, folder, interpreter(identity), why))
    assert found == [errno.EBUSY, 1, False]


async def beside(folder: Path, python: str) -> list[bool]:
    """Freeze beside a process of the same user that lets nobody look, and others of other users."""
    command = (python, "-I", "-c", SECRET)
    other = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    process, _ = await counting(folder, python, "count()")
    try:
        assert other.stdout
        await other.stdout.readline()
        async with asyncio.timeout(5):  # half of `PATIENCE`
            await process.freeze()
        return [freezing._namespace(other.pid) == 0, stands(other.pid)]
    finally:
        await process.kill()
        other.kill()
        await other.wait()


def test_who_is_no_child_of_the_sandbox_neither_stops_nor_is_blamed() -> None:
    demand_sandbox("ordinary")
    with folder_of("ordinary") as folder:
        found = as_identity("ordinary", partial(beside, folder, interpreter("ordinary")))
    assert found == [True, False]


async def untold_of(folder: Path, python: str) -> int:
    process, _ = await counting(folder, python, "count()")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(freezing, "_parent", untold)
        try:
            async with asyncio.timeout(5):
                await process.freeze()
            return sum(freezing._namespace(one) == 0 for one in numbers())
        finally:
            await process.kill()


def test_other_users_are_not_blamed_where_nothing_of_them_is_told() -> None:
    """As with `hidepid`, which keeps their parents secret, too."""
    demand_sandbox("ordinary")
    with folder_of("ordinary") as folder:
        found = as_identity("ordinary", partial(untold_of, folder, interpreter("ordinary")))
    assert found > 0
