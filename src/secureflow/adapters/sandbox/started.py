"""A process that was started: its channel, what it prints, its end.

What it prints is read at `PRINTED` bytes each `PAUSE` seconds at most: who prints more waits in its
own `write`, and costs the reader nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Final

from secureflow.adapters.sandbox.freezing import Freezer, stands
from secureflow.application.ports.sandbox import PRINTED, SandboxProcess
from secureflow.kit.shielding import shielded

PAUSE: Final = 0.02
STREAM_BYTES: Final = 8 << 20
"""Of the channel, that are read before somebody asks for them: a line of a worker fits."""


class Printed:
    """The end of what a process prints into a pipe.

    Args:
        handle: the pipe's reading end, which this closes.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._kept = bytearray()
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        os.set_blocking(handle, False)
        self._loop.add_reader(handle, self._read)

    @property
    def kept(self) -> bytes:
        """The end of it, at most `PRINTED` bytes."""
        return bytes(self._kept)

    def close(self) -> None:
        """Take what is still there, and stop."""
        if self._handle < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._handle)
        with contextlib.suppress(OSError):
            self._keep(os.read(self._handle, PRINTED))
        os.close(self._handle)
        self._handle = -1

    def _read(self) -> None:
        try:
            got = os.read(self._handle, PRINTED)
        except BlockingIOError:
            return
        self._keep(got)
        self._loop.remove_reader(self._handle)
        if got:
            self._pause = self._loop.call_later(
                PAUSE, self._loop.add_reader, self._handle, self._read
            )

    def _keep(self, got: bytes) -> None:
        self._kept += got
        del self._kept[:-PRINTED]


class Started:
    """`application.ports.sandbox.SandboxProcess`.

    Args:
        process: what was started; its end is the end of all of it.
        channel: our end, non-blocking.
        streams: over the channel.
        printed: what it prints, None where that is somebody else's.
        inner: the process that matters and a handle of it (`pidfd_open`), if it is another one.
        ended: called once, when nothing of it is left.
        freezer: keeps it still; without one the process alone is stopped.
        starved: tells whether the system ended something of it for want of memory.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        channel: socket.socket,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        printed: Printed | None = None,
        inner: tuple[int, int] | None = None,
        ended: Callable[[], None] = lambda: None,
        freezer: Freezer | None = None,
        starved: Callable[[], bool] = lambda: False,
    ) -> None:
        self._process = process
        self._printed = printed
        self._ended = ended
        self._freezer = freezer
        self._starved = starved
        self.starved = False
        self._handle = None if inner is None else inner[1]
        self.pid = process.pid if inner is None else inner[0]
        self.channel = channel
        self.reader, self.writer = streams

    @property
    def printed(self) -> bytes:
        """See `SandboxProcess.printed`."""
        return b"" if self._printed is None else self._printed.kept

    async def freeze(self) -> None:
        """See `SandboxProcess.freeze`."""
        if self._freezer is not None:
            await asyncio.to_thread(self._freezer.freeze)
        elif self._process.returncode is None:
            self._process.send_signal(signal.SIGSTOP)
            while self._process.returncode is None and not stands(self.pid):  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def thaw(self) -> None:
        """See `SandboxProcess.thaw`."""
        if self._freezer is not None:
            await asyncio.to_thread(self._freezer.thaw)
        elif self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """See `SandboxProcess.kill`."""
        if self._freezer is not None:
            self._freezer.close()  # a call that is under way holds a thread
        with contextlib.suppress(ProcessLookupError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
                self._wake()
            elif self._process.returncode is None:
                self._process.kill()
        await self.wait()

    def _wake(self) -> None:
        """Let the outer process go on: it reaps the other one, unless somebody stopped it.

        Not by asyncio, which would reap it here itself, and know nothing of how it ended.
        """
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGCONT)

    async def wait(self) -> int:
        """See `SandboxProcess.wait`."""
        code = await self._process.wait()
        self.writer.close()
        if self._printed is not None:
            self._printed.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        if self._freezer is not None:
            self._freezer.close()
        self.starved = self.starved or self._starved()
        ended, self._ended = self._ended, lambda: None
        ended()
        return code if code >= 0 else 128 - code


async def streams_over(
    channel: socket.socket, limit: int = STREAM_BYTES
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the streams over our end of a channel."""
    channel.setblocking(False)
    return await asyncio.open_unix_connection(sock=channel, limit=limit)


async def undisturbed(starting: Coroutine[None, None, SandboxProcess]) -> SandboxProcess:
    """Start a process in full, even for a caller who is cancelled meanwhile; then it is ended.

    Half of a start cannot be undone: bubblewrap's child is nobody's until its number is told.
    """
    return await shielded(starting, lambda process: process.kill())


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process that did not get as far as being started."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
