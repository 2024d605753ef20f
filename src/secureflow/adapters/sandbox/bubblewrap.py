"""Bubblewrap: namespaces, a file system of its own, seccomp, cgroups and rlimits around a process.

What holds for code that runs in it, and by what (`docs/sandbox.md` says what does not):

- It sees its interpreter, its environment and its inputs, all read-only, a `/tmp` of a fixed size,
  and the files that it is to write; there is no `/proc`: neither other processes nor a way to open
  a descriptor again for writing, nor a switch of the kernel.
- It has a network namespace without a network, and no sockets, or with `loopback` those of TCP,
  which reach only itself; namespaces for users, processes, IPC, host name and cgroups of its own,
  no capability, and can make no further namespace.
- It is blocked until it is in its cgroup and its rlimits are set, and then started by one byte. It
  ends with the thread that started it: the first process of its namespace is bubblewrap's own,
  which ends with its parent, takes all others along, and can be reached by none of them. Who reads
  the first request makes sure that the agent lives (`agent.compute.worker`).
- It stands still when its caller wants nothing of it (`freezing`), and cannot wake itself.

Outside it is the agent's user. So whatever that user owns and the process can reach, device nodes
among it, must not change: `seccomp` leaves modes, owners and times alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from secureflow.adapters.sandbox.cgroups import Cgroup, Cgroups
from secureflow.adapters.sandbox.failures import failed
from secureflow.adapters.sandbox.freezing import GroupFreezer, SignalFreezer
from secureflow.adapters.sandbox.layout import Layout, forget, layout_of
from secureflow.adapters.sandbox.rlimits import set_limits
from secureflow.adapters.sandbox.seccomp import SHARED_FUTEXES, filter_program
from secureflow.adapters.sandbox.started import Printed, Started, end, streams_over, undisturbed
from secureflow.application.ports.sandbox import Launch, SandboxProcess
from secureflow.kit.oserrors import reason_below, reason_of

NOBODY: Final = "65534"
_SCRATCH: Final = "/tmp"  # noqa: S108 - inside the sandbox
_SHARED: Final = "/dev/shm"  # noqa: S108
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_PROCESSORS: Final = Path("/proc/cpuinfo")
_INFO_BYTES: Final = 4096
_GUARDS: Final = {
    "network": ("--unshare-net",),
    "processes": ("--unshare-pid",),
    "ipc": ("--unshare-ipc",),
    "host name": ("--unshare-uts", "--hostname", "sandbox"),
    "cgroup namespace": ("--unshare-cgroup-try",),
    "user": ("--uid", NOBODY, "--gid", NOBODY),
    "nested": ("--disable-userns", "--assert-userns-disabled"),
    "capabilities": ("--cap-drop", "ALL"),
    "session": ("--new-session",),
    "parent": ("--die-with-parent",),
}
"""Guards that are a matter of one option; the rest of their names stands where they are used."""


class _Ends:
    """The descriptors of one start: closed when it is over, but for what is taken."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def pipe(self) -> tuple[int, int]:
        made = os.pipe()
        self._open += made
        return made

    def file(self, content: bytes) -> int:
        """Return a descriptor of a file that holds this and has no name."""
        handle = os.memfd_create("secureflow", os.MFD_CLOEXEC)
        self._open.append(handle)
        os.write(handle, content)
        os.lseek(handle, 0, os.SEEK_SET)
        return handle

    def take(self, handle: int) -> int:
        self._open.remove(handle)
        return handle

    def close(self, *handles: int) -> None:
        """Close these, or all."""
        for one in handles or tuple(self._open):
            self._open.remove(one)
            os.close(one)


class BubblewrapSandbox:
    """`application.ports.sandbox.Sandbox`.

    Args:
        program: bubblewrap's.
        without: guards that are left out. Tests alone name any, to show that what a guard stops
            happens without it.
    """

    name: Final = "bubblewrap"
    confines: Final = True

    def __init__(
        self, program: str | None = None, *, without: Collection[str] = (), cgroups: bool = True
    ) -> None:
        self._program = program or shutil.which("bwrap") or "bwrap"
        self._without = frozenset(without)
        self._cgroups = Cgroups() if cgroups else None

    @property
    def counted(self) -> frozenset[str]:
        """What cgroups count on this machine; rlimits hold the rest, as far as they can."""
        return frozenset() if self._cgroups is None else self._cgroups.counted

    def inside(self, launch: Launch, path: Path) -> Path:
        """See `Sandbox.inside`."""
        for view in (*launch.outputs, *launch.inputs):
            if path.is_relative_to(view.source):
                return view.inside / path.relative_to(view.source)
        return path

    async def start(self, launch: Launch) -> SandboxProcess:
        """See `Sandbox.start`."""
        return await undisturbed(self._start(launch))

    async def _start(self, launch: Launch) -> SandboxProcess:
        words = await asyncio.to_thread(self._words, launch)
        group = self._cgroups.make(launch.limits) if self._cgroups else Cgroup()
        try:
            if launch.limits.cpus and "cpu" not in group.controllers:
                raise failed(self.name, "no cgroup shares out processors here")
            return await self._started(launch, words, group)
        except BaseException:  # cancellation too: no group is left behind
            group.remove()
            forget(launch.command[0])
            raise

    async def _started(self, launch: Launch, words: Sequence[str], group: Cgroup) -> SandboxProcess:
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as stack:
            stack.callback(theirs.close)
            unused = stack.enter_context(contextlib.ExitStack())
            unused.callback(ours.close)
            ends = _Ends()
            stack.callback(ends.close)
            printing, told, blocked = ends.pipe(), ends.pipe(), ends.pipe()
            try:
                seccomp = self._filter(group, launch)
                given = [told[1], blocked[0], *([] if seccomp is None else [ends.file(seccomp)])]
                channel, said = launch.ends or (theirs.fileno(), printing[1])
                kinds = ends.file(_processors())
                shown = ("--ro-bind-data", str(kinds), str(_PROCESSORS), *words)
                given += [kinds, ends.file(_arguments(shown, given))]
                process = await asyncio.create_subprocess_exec(
                    *(self._program, "--args", str(given[-1]), "--", *launch.command),
                    stdin=channel,
                    stdout=channel,
                    stderr=said,
                    env={},
                    pass_fds=given,
                    start_new_session=True,  # Ctrl-C is handled by the agent
                )
            except OSError as error:
                raise failed(self.name, reason_of(error)) from error
            theirs.close()
            ends.close(*given, printing[1])
            printed = Printed(ends.take(printing[0]))
            pid, freezer = 0, None
            try:
                pid = await _child(told[0])
                handle = self._limit(pid, launch, group)
                switch = group.switch(pid)
                freezer = GroupFreezer(switch) if switch else SignalFreezer(pid, group.starts())
                os.write(blocked[1], b"\n")
            except BaseException as error:  # cancellation too: no process is left behind
                await _undo(process, pid)
                printed.close()
                if freezer is not None:
                    freezer.close()
                if isinstance(error, OSError | ValueError):
                    why = printed.kept.decode(errors="replace") or reason_below(error)
                    raise failed(self.name, why) from error
                raise
            unused.pop_all()
        streams = await streams_over(ours)
        return Started(
            process, ours, streams, printed, (pid, handle), group.remove, freezer, group.starved
        )

    def _limit(self, pid: int, launch: Launch, group: Cgroup) -> int:
        """Put a process that does nothing yet under its limits, and return a handle of it."""
        handle = os.pidfd_open(pid)
        try:
            group.add(pid)
            if "rlimits" not in self._without:
                tasks = 0 if "pids" in group.controllers else launch.limits.processes
                set_limits(pid, launch.limits, tasks=tasks)
        except BaseException:  # cancellation too: no handle is left behind
            os.close(handle)
            raise
        return handle

    def _filter(self, group: Cgroup, launch: Launch) -> bytes | None:
        """Return the filter of its system calls.

        Only what is counted may start processes: an address space of its own has each of them.
        """
        if "seccomp" in self._without:
            return None
        limits, counted = launch.limits, group.controllers
        few = "pids" in counted or not limits.processes
        small = "memory" in counted or not limits.memory
        program = filter_program(
            processes=few and small,
            devices=bool(launch.devices),
            loopback=launch.loopback,
            without=self._without | ({SHARED_FUTEXES} if launch.shared_futexes else set()),
        )
        if program is None:
            raise OSError(0, "the system calls of this processor are not known")
        return program

    def _words(self, launch: Launch) -> tuple[str, ...]:
        """Return bubblewrap's options; files and links are looked at here."""
        return tuple(self._options(launch, layout_of(launch.command[0])))

    def _options(self, launch: Launch, layout: Layout) -> Iterator[str]:
        yield "--unshare-user"
        for guard, words in _GUARDS.items():
            if guard not in self._without:
                yield from words
        home = {"HOME": _SCRATCH, "TMPDIR": _SCRATCH, "USER": "nobody"}
        for name, value in {**home, **launch.environment}.items():
            yield from ("--setenv", name, value)
        size = str(launch.limits.scratch) if "scratch" not in self._without else str(1 << 40)
        scratch = ("--size", size, "--perms", "0700", "--tmpfs", _SCRATCH)
        covered = layout.shows(Path(_SCRATCH))
        if not covered:  # first: an interpreter may lie in the host's folder of this name
            yield from scratch
        yield from self._files(launch, layout)
        if covered:
            yield from scratch
        for device in (*_DEVICES, *map(str, launch.devices)):
            yield from ("--dev-bind-try", device, device)
        if launch.devices or "no proc" in self._without:
            yield from ("--proc", "/proc")  # drivers of devices look for themselves there
        places = (*layout.paths, *(place for _, place in layout.links))
        if not any(one.is_relative_to(_SHARED) for one in places):
            yield from ("--dir", f"{_SCRATCH}/shm", "--symlink", f"{_SCRATCH}/shm", _SHARED)
        yield from ("--chdir", _SCRATCH)
        if "read-only root" not in self._without:
            yield from ("--remount-ro", "/")

    def _files(self, launch: Launch, layout: Layout) -> Iterator[str]:
        bind = "--ro-bind" if "read-only" not in self._without else "--bind"
        for path in layout.paths:
            yield from (bind, str(path), str(path))
        for said, place in layout.links:
            yield from ("--symlink", said, str(place))
        for path in launch.hidden if "hidden" not in self._without else ():
            for seen in map(str, layout.places(path)):
                if path.is_dir():
                    yield from ("--size", "4096", "--tmpfs", seen, "--remount-ro", seen)
                elif path.exists():
                    yield from ("--ro-bind", "/dev/null", seen)
        for view in launch.inputs:
            yield from (bind, str(view.source), str(view.inside))
        for view in launch.outputs:
            yield from ("--bind", str(view.source), str(view.inside))


@functools.cache
def _processors() -> bytes:
    """Return what the processors are, as it was said once: the rate that they run at moves."""
    return _PROCESSORS.read_bytes()


def _arguments(words: Sequence[str], given: Sequence[int]) -> bytes:
    options = [*words]
    for option, handle in zip(("--info-fd", "--block-fd", "--seccomp"), given, strict=False):
        options += [option, str(handle)]
    return b"".join(os.fsencode(one) + b"\0" for one in options)


async def _undo(process: asyncio.subprocess.Process, pid: int) -> None:
    """End a start: the child first, which would run when nobody holds the pipe that it waits at."""
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await end(process)


async def _child(handle: int) -> int:
    """Return the process id that bubblewrap tells, in the host's numbers.

    Raises:
        ValueError: it tells none: it has failed.
    """
    loop, told = asyncio.get_running_loop(), b""
    while len(told) < _INFO_BYTES:
        ready = asyncio.Event()
        loop.add_reader(handle, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(handle)
        if not (got := os.read(handle, _INFO_BYTES)):
            break
        told += got
    return int(json.loads(told)["child-pid"])
