"""Child processes of a local platform: started, waited for, killed, and never left behind.

Each child announces that it is up by writing `ready.json` into its directory. Children die with the
process that started them (Linux: PR_SET_PDEATHSIG), unless they should stay.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

START_SECONDS = 300.0
_KILLED_SECONDS = 10.0
"""How long processes that were killed are waited for: a busy machine lets them end late."""
_BIND = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, which exec keeps
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class Process:
    """One child: its command, its directory, its log.

    Args:
        name: shown to people and used as the log's name.
        command: arguments after the Python interpreter.
        directory: where the child writes `ready.json`.
        log: the file that takes its output.
        stays: whether it outlives this process (`demo --keep`).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        log: Path,
        *,
        stays: bool = False,
    ) -> None:
        self.name = name
        self.command = [sys.executable, *command]
        self.directory = directory
        self.log = log
        self.stays = stays
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """Tell whether the child runs."""
        return self._child is not None and self._child.poll() is None

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start the child in a session of its own; do not wait."""
        (self.directory / "ready.json").unlink(missing_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._child = self._spawn(output, {**os.environ, **(environment or {})})

    def ready(self, patience: float = START_SECONDS) -> dict[str, Any]:
        """Wait until the child is up and return its `ready.json`.

        Raises:
            SecureFlowError: `process_failed` with the last lines of its log.
        """
        path = self.directory / "ready.json"
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):
                facts: dict[str, Any] = json.loads(path.read_text())
                return facts
            if not self.alive:
                break
            time.sleep(0.02)
        state = (
            "has ended"
            if not self.alive
            else Text("is not up after {patience:.0f} s", patience=patience)
        )
        tail = self.tail()
        raise SecureFlowError(
            "process_failed",
            Text(
                "{name} {state}. Its log ends with:\n{tail}", name=self.name, state=state, tail=tail
            )
            if tail
            else Text("{name} {state}. Its log is empty.", name=self.name, state=state),
            Text("The whole log is in {log}.", log=self.log),
        )

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of the child's log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def kill(self) -> None:
        """SIGKILL the child and everything it started; wait for the end of all of it.

        What it started may hold a folder's lock a little longer than the child itself, so that the
        next process in that folder would be refused.
        """
        if self._child is not None:
            kill_group(self._child.pid, signal.SIGKILL)
            self._child.wait()
            _await_group(self._child.pid)

    def terminate(self) -> None:
        """Ask the child to end; do not wait."""
        if self._child is not None and self.alive:
            self._child.terminate()

    def join(self, patience: float = 8.0) -> None:
        """Wait for a child that was asked to end, and kill it if it does not."""
        if self._child is None:
            return
        try:
            self._child.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
        kill_group(self._child.pid, signal.SIGKILL)

    def wait(self, patience: float) -> int:
        """Wait until the child ends by itself and return its exit code."""
        return self._running().wait(patience)

    def _spawn(self, output: BinaryIO, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command if self.stays else _bound(self.command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise SecureFlowError("process_failed", Text("{name} was not started.", name=self.name))
        return self._child


def stop_all(processes: Sequence[Process]) -> None:
    """Stop children concurrently, the last started first."""
    for process in reversed(processes):
        process.terminate()
    for process in reversed(processes):
        process.join()


def kill_group(pid: int, how: signal.Signals) -> None:
    """Signal a child's process group; one that is gone is not an error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, how)


def _await_group(pid: int) -> None:
    """Wait until no process of a killed group runs; nobody may collect those that have ended."""
    deadline = time.monotonic() + _KILLED_SECONDS
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.005)


def _runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    if not sys.platform.startswith("linux"):
        return False  # cannot be told from those that have ended
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, of = entry.read_text(errors="replace").rpartition(") ")[2].split()[:3]
            if int(of) == group and state not in "ZX":
                return True
    return False


def _bound(command: Sequence[str]) -> list[str]:
    """Return the command wrapped so that, on Linux, the child ends with this process.

    The child requests that itself before it executes the command: code run between fork and exec
    (`preexec_fn`) runs the fork handlers of libraries with threads there, and gRPC's kill one child
    in six.
    """
    if not sys.platform.startswith("linux"):
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _BIND, str(os.getpid()), *command]
