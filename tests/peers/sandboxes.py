"""Whether the real sandbox runs here, and who starts it: root, and somebody who is not.

Where bubblewrap or user namespaces are missing that is said; with SECUREFLOW_DEMAND_SANDBOX=1
(`.ci/run`) it is a failure.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401 - who becomes another user may not read it any more
import json
import os
import pwd
import shutil
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import pytest

from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.adapters.sandbox.choice import why_not
from secureflow.adapters.sandbox.layout import layout_of
from secureflow.application.ports.sandbox import SandboxProcess

DEMANDED: Final = "SECUREFLOW_DEMAND_SANDBOX"
IDENTITIES: Final = ("root", "ordinary")


def demand_sandbox(identity: str) -> None:
    """Skip, or fail where it is demanded, if the sandbox does not run as this identity."""
    reason = _lacking(identity)
    if reason and os.environ.get(DEMANDED):
        pytest.fail(f"SANDBOX NOT TESTED as {identity}: {reason}, and {DEMANDED} is set")
    if reason:
        pytest.skip(
            f"SANDBOX NOT TESTED as {identity}: {reason}; {DEMANDED}=1 makes this a failure"
        )


@cache
def _lacking(identity: str) -> str:
    if identity == "root" and os.geteuid() != 0:
        return "these tests do not run as root"
    return _found(identity)[1]


def program() -> str | None:
    """Return bubblewrap's program, if there is one."""
    return shutil.which("bwrap")


def told() -> str:
    """Return the line that says whether the sandbox is tested."""
    found = program()
    absent = f"Sandbox NOT TESTED: no bubblewrap ({DEMANDED}=1 makes this a failure)"
    return f"Sandbox: {found}" if found else absent


@cache
def free_uid() -> int:
    """Return a number that is nobody's."""
    taken = {one.pw_uid for one in pwd.getpwall()}
    taken |= {one.stat().st_uid for one in Path("/proc").glob("[0-9]*") if one.exists()}
    return next(number for number in range(61_000, 64_000) if number not in taken)


def interpreter(identity: str) -> str:
    """Return a Python that the identity can run in the sandbox: this one, unless root keeps it."""
    return _found(identity)[0]


@cache
def _found(identity: str) -> tuple[str, str]:
    """Return such a Python, or why there is none: what each of them met."""
    reasons = []
    for one in (sys.executable, *_installed()):
        layout = layout_of(one)  # root's view of it: in the child nobody asks again
        reason = str(as_identity(identity, partial(why_not, BubblewrapSandbox(), one)))
        if not reason:
            return one, ""
        reasons.append(f"{one}: {reason} ({layout})")
    return "", "; ".join(reasons)


def _installed() -> Iterator[str]:
    for name in ("python3", *(f"python3.{minor}" for minor in range(20, 8, -1))):
        for folder in ("/usr/bin", "/usr/local/bin"):
            if Path(folder, name).exists():
                yield f"{folder}/{name}"


@contextmanager
def folder_of(identity: str) -> Iterator[Path]:
    """Make a folder that belongs to the identity and that nobody else sees into."""
    folder = Path(mkdtemp(prefix="sf-sandbox-", dir="/dev/shm"))
    if identity == "ordinary" and os.geteuid() == 0:
        os.chown(folder, free_uid(), free_uid())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def as_identity(identity: str, work: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine as an identity and return its JSON; for another user in a forked child."""
    if identity == "root" or os.geteuid() != 0:
        with ThreadPoolExecutor(1) as own:  # a test may have a loop in this thread
            return own.submit(lambda: asyncio.run(_plain(work))).result()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_ordinary(work, writing)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    result, problem = json.loads(said or '[null, "it died"]')
    if problem:
        raise AssertionError(problem)
    return result


async def _plain(work: Callable[[], Awaitable[Any]]) -> Any:
    return json.loads(json.dumps(await work()))


COUNTS: Final = """
import mmap, os, threading
def count(start):
    with open(OUT, "r+b") as file, mmap.mmap(file.fileno(), 16) as shared:
        number = 0
        while True:
            number += 1
            shared[start : start + 8] = number.to_bytes(8, "little")
if FORKS and os.fork() == 0:
    count(8)
if not FORKS:
    threading.Thread(target=count, args=(8,), daemon=True).start()
print(1, flush=True)
count(0)
"""
"""Two threads, or with FORKS two processes, that count in a file of 16 bytes."""


def counts_in(path: str, *, forks: bool = False) -> str:
    """Return the program that counts in a file."""
    return COUNTS.replace("OUT", repr(path)).replace("FORKS", str(forks))


async def stands_still(process: SandboxProcess, counted: Path) -> None:
    """See a process that counts stand still when it is frozen, and go on when it is not."""
    look = counted.read_bytes
    async with asyncio.timeout(120):
        for _ in range(2):
            before = look()
            while not _moved(before, look()):  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0.01)
            await process.freeze()
            await process.freeze()  # again is no fault
            still = look()
            for _ in range(20):
                await asyncio.sleep(0.02)
                assert look() == still
            await process.thaw()
            while not _moved(still, look()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def _moved(before: bytes, after: bytes) -> bool:
    """Tell whether both have counted."""
    return before[:8] != after[:8] and before[8:] != after[8:]


def become_ordinary() -> None:
    """Become somebody without rights for good, unless this is one already."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(free_uid())
        os.setuid(free_uid())
    os.chdir("/")


def _be_ordinary(work: Callable[[], Awaitable[Any]], writing: int) -> None:
    """Become somebody without rights for good, do it, say how it went, and end."""
    answer: tuple[Any, str] = (None, "")
    try:
        become_ordinary()
        answer = asyncio.run(_plain(work)), ""
    except BaseException:  # noqa: BLE001 - the parent raises it
        answer = None, traceback.format_exc()
    finally:
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
