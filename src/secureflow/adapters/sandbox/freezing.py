"""Keeping every process of a sandbox still, from outside, until it is wanted again.

- A cgroup of version 2 freezes (`cgroup.freeze`): nothing in it runs any more, and what is killed
  there dies all the same. The freezer of version 1 is not used: what it holds cannot be killed, and
  would outlive the agent.
- Elsewhere each process in the sandbox's namespace is stopped by SIGSTOP. One that still runs can
  wake another (SIGCONT), so they are stopped until all are seen to stand. Meanwhile their group
  lets none be started: in a chain of short-lived ones each would be gone when it is looked at.
  (Where nothing counts them the filter allows threads alone, which stop with their process.) When
  all stand none can wake another, and no timer and no file can: the filter refuses the calls that
  would have the kernel send SIGCONT (`syscalls`).

Code can keep the kernel from telling us its namespace: it runs a program that it may not read, or
says so (which the filter refuses) and ends its first thread. Then its parents tell: who loses his
parent is the first process's in there, or another's. One of our user of whom neither is told does
not count as standing, and the freeze fails. (`/proc` with `hidepid=2` does not show him at all.)

The kernel gives the number of a namespace away again once nothing holds it. So it is held, by an
open descriptor, from before its first process begins until its end is told and no call is under
way: one that goes on in its thread after a kill meets no process of another sandbox.

The first process of the namespace is bubblewrap's own, which waits; no signal stops it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from secureflow.kit.process import stat_fields

PATIENCE: Final = 10.0
"""Seconds until all must stand: a thread that waits for a disk stops when it has its answer."""
_PAUSE: Final = 0.001
_STANDS: Final = frozenset("TtZXx")
"""States of a thread that does nothing (proc(5)): stopped, or ended."""
_CLEAN: Final = 2
"""Times in a row that nobody is found running: one look can miss who ends and starts meanwhile."""


class Freezer(Protocol):
    """Both calls may be repeated, and are no fault where the processes have ended; they wait."""

    def freeze(self) -> None:
        """Keep every process still.

        Raises:
            OSError: one cannot be.
        """

    def thaw(self) -> None:
        """Let them run again."""

    def close(self) -> None:
        """Say that they are killed; waits for nobody. Calls do nothing more, one under way too."""


class GroupFreezer:
    """`Freezer` of a cgroup of version 2.

    Args:
        switch: its file `cgroup.freeze`.
    """

    def __init__(self, switch: Path) -> None:
        self._switch = switch
        self._closed = False

    def freeze(self) -> None:
        """See `Freezer.freeze`; a thread that waits for a disk is not waited for very long."""
        self._turn("1")
        until = time.monotonic() + PATIENCE
        with contextlib.suppress(OSError):  # they have ended
            while "frozen 1" not in self._switch.with_name("cgroup.events").read_text():
                if self._closed or time.monotonic() > until:
                    return  # the kernel sees to it
                time.sleep(_PAUSE)

    def thaw(self) -> None:
        """See `Freezer.thaw`."""
        self._turn("0")

    def close(self) -> None:
        """See `Freezer.close`; the name of a group is never another's."""
        self._closed = True

    def _turn(self, to: str) -> None:
        if self._closed:
            return
        with contextlib.suppress(FileNotFoundError):  # they have ended, and it went with them
            handle = os.open(self._switch, os.O_WRONLY)
            with os.fdopen(handle, "w") as file:
                file.write(to)


class SignalFreezer:
    """`Freezer` of a namespace of processes, by signals.

    Args:
        first: the namespace's first process, in our numbers; it must not have begun.
        starts: the file `pids.max` of their group, if it counts them.
    """

    def __init__(self, first: int, starts: Path | None = None) -> None:
        self._first = first
        self._starts = starts
        self._most = "" if starts is None else starts.read_text()
        self._closing = threading.Lock()
        self._held = _held(first)
        self._space = os.fstat(self._held).st_ino if self._held >= 0 else 0
        self._shared = self._space == _namespace(os.getpid())
        """Whether it has no namespace of its own, as in tests that leave a guard out: then nobody
        is stopped, who would be everybody."""

    def freeze(self) -> None:
        """See `Freezer.freeze`."""
        if not self._space:
            raise OSError(errno.EPERM, "its namespace of processes cannot be told")
        with self._holding():
            self._allow("0")
            until, clean = time.monotonic() + PATIENCE, 0
            while self._held >= 0 and clean < _CLEAN:
                clean = 0 if self._stop() else clean + 1
                if time.monotonic() > until:
                    raise OSError(errno.EBUSY, "a process does not stand still")
                if not clean:
                    time.sleep(_PAUSE)

    def thaw(self) -> None:
        """See `Freezer.thaw`."""
        with self._holding() as there:
            self._allow(self._most)
            for _, handle in self._members() if there else ():
                _send(handle, signal.SIGCONT)

    def close(self) -> None:
        """See `Freezer.close`."""
        with self._closing:
            held, self._held = self._held, -1
        if held >= 0:
            os.close(held)

    @contextlib.contextmanager
    def _holding(self) -> Iterator[bool]:
        """Hold the namespace, whoever closes meanwhile; tell whether it is there."""
        with self._closing:
            own = -1 if self._held < 0 else os.dup(self._held)
        try:
            yield own >= 0
        finally:
            if own >= 0:
                os.close(own)

    def _allow(self, most: str) -> None:
        """Let there be so many tasks from now on; those that are there stay."""
        if self._starts is not None:
            with contextlib.suppress(FileNotFoundError):  # they have ended, and it went with them
                self._starts.write_text(most)

    def _stop(self) -> int:
        """Stop every process, and return how many of them do not stand yet.

        One that seems to stand is stopped, too: in a chain of short-lived threads each is gone when
        it is looked at, and a process is stopped with all its threads, those being started too.
        """
        found = 0
        for pid, handle in self._members():
            _send(handle, signal.SIGSTOP)
            found += handle is None or not stands(pid)
        return found

    def _members(self) -> Iterator[tuple[int, int | None]]:
        """Yield each process but the first, with a handle: its number may be another's soon.

        One that may be of the namespace or not has none: it must be sent nothing.
        """
        if self._shared:
            return
        for entry in Path("/proc").iterdir():
            pid = int(entry.name) if entry.name.isdigit() else 0
            if pid in {0, self._first} or self._has(pid) is False:
                continue
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                has = self._has(pid)
                if has is not False:
                    yield pid, handle if has else None
            finally:
                os.close(handle)

    def _has(self, pid: int) -> bool | None:
        """Tell whether a process is of the namespace; None where nothing tells."""
        if told := _namespace(pid):
            return told == self._space
        try:
            ours = Path(f"/proc/{pid}").stat().st_uid == os.geteuid()
        except OSError:  # it has ended
            return False
        return ours and self._descends(pid)

    def _descends(self, pid: int) -> bool | None:
        """Tell whether the first process is among a process's forebears; None if nothing tells."""
        try:
            while pid:
                pid = _parent(pid)
                if pid == self._first:  # the number may be another's
                    return _namespace(pid) == self._space or None
        except OSError:  # one of them has ended, or no forebear is told
            return None
        return False


def _held(pid: int) -> int:
    """Return a descriptor that holds a process's namespace; -1 for one that is not ours."""
    try:
        return os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
    except OSError:
        return -1


def _namespace(pid: int) -> int:
    """Return the number of a process's namespace; 0 where it is not told, or the process ended."""
    try:
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino
    except OSError:
        return 0


def _parent(pid: int) -> int:
    return int(stat_fields(Path(f"/proc/{pid}/stat"))[1])


def stands(pid: int) -> bool:
    """Tell whether no thread of a process runs."""
    try:
        tasks = [*Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return True
    for task in tasks:
        with contextlib.suppress(OSError):
            if stat_fields(task / "stat")[0] not in _STANDS:
                return False
    return True


def _send(handle: int | None, what: signal.Signals) -> None:
    if handle is None:
        return
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, what)
