"""Where code runs that must not reach more than it is given: the agent's port to a scheduler.

Everything that an agent has computed is a unit of work that starts here: its workers, code that
others bring, engines, trainers. The embedded default are local processes (`adapters.sandbox`);
another scheduler is another adapter of this port, held to one suite (`tests/contract/scheduler`):
- a unit gets what its `Launch` says, and nothing else: command, variables, files in and out, limits
  of memory, processes, processors and files, devices, and no network but its own;
- its end is observed, with its exit code and whether memory was wanting; it is ended within seconds
  with everything that it started, and can be kept still meanwhile;
- nothing outlives who started it: what an earlier life of the agent left is ended with that life,
  or by the next one before it starts anything;
- several run beside each other. How many, and for how long, is the caller's to say (`worker: warm`,
  `seconds`), for the caller knows what a request is.

What a process gets is said in full by a `Launch`: nothing is inherited from the agent. Its standard
input and output are one end of a Unix stream socket, the `channel`, whose other end the caller
holds; file descriptors can be passed over it (SCM_RIGHTS). What it prints is read by the caller's
side, slowly and up to a bound, so that neither a flood nor its end disturbs anybody.

A process that `confines` has no network, no `/proc`, no path of the host but those of its launch,
and no right to anything; `adapters.sandbox.bubblewrap` says how. One that does not is only tidy:
code that others wrote must not run there.

A launch with a `loopback` may use TCP with itself: on 127.0.0.1 of a network that has nothing else
in it. It passes sockets of that network out over its channel, so that the caller is who it talks
to; there is no other way out.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol

SandboxMode = Literal["auto", "require", "off"]
"""An owner's setting: the one that confines where it runs, nothing without it, none."""
PRINTED: Final = 16 << 10
"""Bytes that are kept of what a process prints."""


@dataclass(frozen=True)
class Limits:
    """What a process may use; 0 is no limit of its own.

    Args:
        memory: bytes, of memory where the system can count it, of address space as well.
        addresses: bytes of address space where these are to be more than `memory`: libraries with
            many threads reserve much that they never touch.
        processes: threads and processes together, where the system can count them; where it cannot
            count these and `memory`, a confined process may start threads only.
        cpus: processors, 0.5 is half of one; where the system cannot share them out, a confined
            process is not started.
        file_size: bytes of the largest file that it may write.
        scratch: bytes of all files below `/tmp`, the only place where it can make any.
        open_files: descriptors.
    """

    memory: int = 0
    processes: int = 256
    cpus: float = 0.0
    file_size: int = 0
    scratch: int = 256 << 20
    open_files: int = 256
    addresses: int = 0


@dataclass(frozen=True)
class View:
    """A file or folder of the host, and where the process finds it."""

    source: Path
    inside: Path


@dataclass(frozen=True)
class Launch:
    """All that a process gets.

    Args:
        command: the interpreter by its path on the host, and its arguments.
        environment: all of its variables.
        inputs: what it may read, files and whole folders.
        outputs: single files that exist, which it may write; it can make and remove none.
        hidden: files and folders that it must not see although they lie within its interpreter's
            folders, such as the agent's own.
        limits: what it may use.
        devices: of the host, such as `/dev/nvidia0`.
        ends: two descriptors of the caller's, which become its standard input and output, and where
            it prints; by default they are the sandbox's own.
        loopback: whether it may use TCP over a loopback of its own; in a sandbox that does not
            confine that is the host's.
        shared_futexes: whether threads may sleep on what several processes may share, instead of
            asking again and again: two sandboxes that may could talk by a library that both map,
            so for programs alone that nobody but the owner chose.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[View, ...] = ()
    outputs: tuple[View, ...] = ()
    hidden: tuple[Path, ...] = ()
    limits: Limits = Limits()
    devices: tuple[Path, ...] = ()
    ends: tuple[int, int] | None = None
    loopback: bool = False
    shared_futexes: bool = False


class SandboxProcess(Protocol):
    """A process that was started; a confined one ends at the latest with who started it."""

    @property
    def pid(self) -> int:
        """Its process id, as the host counts."""

    @property
    def channel(self) -> socket.socket:
        """The caller's end of its standard input and output, non-blocking; `kill` closes it."""

    @property
    def reader(self) -> asyncio.StreamReader:
        """What it sends over the channel."""

    @property
    def writer(self) -> asyncio.StreamWriter:
        """The way to it over the channel."""

    @property
    def starved(self) -> bool:
        """Whether the system ended something of it for want of memory, where that is counted.

        It is known when `wait` has returned.
        """

    @property
    def printed(self) -> bytes:
        """The end of what it printed, at most `PRINTED` bytes."""

    async def freeze(self) -> None:
        """Keep it and everything that it started still; it can be killed, and ends with its agent.

        Raises:
            OSError: something of it goes on.
        """

    async def thaw(self) -> None:
        """Let it go on."""

    async def kill(self) -> None:
        """End it and everything that it started; return when nothing of it is left."""

    async def wait(self) -> int:
        """Return its exit code when it has ended, 128 and the signal if one ended it."""


class Sandbox(Protocol):
    """A way to start processes."""

    @property
    def name(self) -> str:
        """Its make, for people."""

    @property
    def confines(self) -> bool:
        """Whether code that others wrote may run in it."""

    def inside(self, launch: Launch, path: Path) -> Path:
        """Return where a process of this launch finds a path of the host."""

    async def start(self, launch: Launch) -> SandboxProcess:
        """Start a process.

        Raises:
            SecureFlowError: `sandbox_failed` with the reason; nothing of it is left then.
        """
