"""No file of tests leaves anything behind that a later one could be blamed for.

After the last test of each file (`order.unit`), and after what its fixtures put away, there is no
process, thread, listening socket, unfinished task, file in the temporary directory or changed
environment that was not there before its first. What a fixture of the whole session holds (the
PostgreSQL server) was there: it is counted to the session when it is set up.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import nursery
from tests.order import unit

MARK = "SECUREFLOW_TESTED_BY"
"""In the environment of every process that a test starts, and of those that they start."""
GRACE = 30.0
"""Seconds for what is ending: a worker notices that its agent is gone, a thread is joined."""
LASTING_THREADS = re.compile(r"_poll_wrapper|execnet|pytest_timeout|channel_spin|asyncio-waitpid")
"""Of libraries: gRPC's poller lives as long as the process, execnet talks to the other workers."""
AT_IMPORT = ("KMP_", "GRPC_")
"""Variables that OpenMP and our use of gRPC set where they are first loaded."""
SELDOM = (200_000, 20, 20)
"""Thresholds of the collector: it would walk again and again over what a test builds and holds
(a syntax tree of each module, a platform), a tenth of the processor's time of a whole run; all is
collected after each file anyway."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


@dataclass
class Seen:
    """What is there at one time: kind → key → how people read it."""

    things: dict[str, dict[Any, str]] = field(default_factory=dict)

    def beyond(self, before: Seen) -> dict[str, dict[Any, str]]:
        """Return what is here and was not there."""
        new = {
            kind: {key: told for key, told in found.items() if key not in before.things[kind]}
            for kind, found in self.things.items()
        }
        return {kind: found for kind, found in new.items() if found}


def look(temporary: Path, root: Path) -> Seen:
    """Look around."""
    return Seen(
        {
            "process": dict(_processes()),
            "thread": dict(_threads()),
            "listening socket": dict(_listeners()),
            "unfinished task": dict(_tasks()),
            "temporary file": {path: str(path) for path in temporary.iterdir()},
            "file": {path: str(path) for path in root.iterdir() if path.name[0] != "."},
            "changed": dict(_settings()),
        }
    )


class Leaks:
    """Compares what is there before and after each file."""

    def __init__(self) -> None:
        self._unit = ""
        self._before = Seen()
        self._after: Seen | None = None
        """What a file left: nothing runs before the next one begins."""
        self._temporary = self._root = Path()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        """Note what is there before the first test of a file."""
        if self._unit != unit(item.nodeid):
            self._unit = unit(item.nodeid)
            os.environ[MARK] = f"{os.getpid()}"
            self._before = self._after or self._look()
            self._after = None
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """What the session's own fixtures bring is no file's."""
        if fixturedef.scope != "session" or not self._unit:
            return (yield)
        before = self._look()
        try:
            return (yield)
        finally:
            for kind, found in self._look().beyond(before).items():
                self._before.things[kind].update(found)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None]:
        """Look again after the last test of a file."""
        try:
            result = yield
        finally:
            goes_on = nextitem is not None and unit(nextitem.nodeid) == self._unit
            left = [] if goes_on else self._left()
        if left:
            told, self._unit = f"{self._unit} leaves behind:\n", ""  # it is not the next one's
            pytest.fail(told + "\n".join(left), False)
        return result

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Give this process and its children a temporary directory of their own."""
        factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
        self._temporary = factory.mktemp("tmp")
        os.environ["TMPDIR"] = tempfile.tempdir = str(self._temporary)
        self._root = session.config.rootpath

    def pytest_sessionfinish(self) -> None:
        """End the one process that all files share."""
        nursery.end()

    def pytest_collection_finish(self) -> None:
        """Take what was imported out of the collector's sight: it is walked after each file.

        What an import leaves behind stays with it: to find that takes a second in each process.
        """
        gc.enable()
        gc.set_threshold(*SELDOM)
        gc.freeze()

    def _look(self) -> Seen:
        return look(self._temporary, self._root)

    def _left(self) -> list[str]:
        warned = _collected()
        deadline = time.monotonic() + GRACE
        while new := (seen := self._look()).beyond(self._before):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        self._after = None if new else seen
        for pid in new.get("process", {}):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return warned + [
            f"{kind}: {told}" for kind, found in new.items() for told in found.values()
        ]


def _collected() -> list[str]:
    """Collect what nobody holds, so that it warns now and not in the next file; return that.

    What is held is taken out of the collector's sight, as what was imported: it lasts.
    """
    warned: list[str] = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda told: warned.append(f"warning: {told.exc_value!r}")
    try:
        gc.collect()
        gc.freeze()
    finally:
        sys.unraisablehook = before
    return warned


def _processes() -> Iterator[tuple[int, str]]:
    """Yield the processes that carry our mark, children of ours or not, and unreaped children."""
    me, mark = os.getpid(), f"{MARK}={os.getpid()}\0".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        with contextlib.suppress(OSError):
            status = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            ours = int(status[1]) == me or mark in (entry / "environ").read_bytes()
            if ours and pid not in (me, nursery.pid()):
                words = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
                yield pid, f"{pid} {words.strip() or '(ended, not waited for)'}"


def _threads() -> Iterator[tuple[int, str]]:
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not LASTING_THREADS.search(thread.name):
            yield id(thread), thread.name


def _listeners() -> Iterator[tuple[str, str]]:
    held = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            held.add(str(entry.readlink()))
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in held:
                yield words[9], f"port {int(words[1].rpartition(':')[2], 16)}"
    for line in Path("/proc/self/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        if int(words[3], 16) & 0x10000 and f"socket:[{words[6]}]" in held:
            yield words[6], words[7] if len(words) > 7 else "a socket without a name"


def _tasks() -> Iterator[tuple[int, str]]:
    names = ("_all_tasks", "_scheduled_tasks")  # until Python 3.11, from 3.12 on
    known = [getattr(asyncio.tasks, name, ()) for name in names]
    for task in [one for found in known for one in found]:  # of closed loops too
        if not task.done():
            yield id(task), repr(task)


def _settings() -> Iterator[tuple[Any, str]]:
    for name, value in os.environ.items():
        if name not in ("PYTEST_CURRENT_TEST", MARK) and not name.startswith(AT_IMPORT):
            yield (name, value), f"environment {name}"
    yield ("cwd", os.getcwd()), f"working directory {Path.cwd()}"  # noqa: PTH109
    mask = os.umask(0o077)
    os.umask(mask)
    yield ("umask", mask), f"umask {mask:o}"
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        yield (number, repr(handler)), f"handler of {number.name}: {handler}"
    yield ("tempdir", tempfile.gettempdir()), "tempfile.tempdir"
