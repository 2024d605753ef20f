"""What code of others prints: kept for the owner alone, up to a size; the rest is thrown away.

It is a pipe that this process drains, so that code that prints much is not held up, and a file
that cannot grow beyond its limit whatever the code does. A process that follows another one goes
on in the same file: ending it often erases nothing. Bytes are kept as they came: whoever shows them
escapes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

KEPT: Final = 1 << 20
"""Bytes of the file."""
FLOOD: Final = 64 << 20
"""Bytes after which a process prints without end."""
_NEXT: Final = b"\n[secureflow: another process]\n"
_CUT: Final = b"\n[secureflow: the log is full, the rest was thrown away]\n"
_AT_ONCE: Final = 1 << 16
_TURNS: Final = 16
"""Reads in a row; then others have their turn."""


class PrintedLog:
    """A pipe into a capped file, mode 0600.

    Args:
        path: the file; what is in it stays.
        flooded: called once when more than `FLOOD` bytes came.
        kept: bytes of the file, and a few.
    """

    def __init__(self, path: Path, flooded: Callable[[], object], kept: int = KEPT) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        self._file = os.open(path, flags, 0o600)
        self._flooded = flooded
        before = os.fstat(self._file).st_size
        self._kept = max(kept - before, 0)
        self._came = 0
        if before and self._kept:
            self._take(_NEXT)
        self._reading, self.inherited = os.pipe()
        os.set_blocking(self._reading, False)
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._reading, self._read)

    def give_away(self) -> None:
        """Close the end that the child has inherited."""
        os.close(self.inherited)
        self.inherited = -1

    def say(self, text: str) -> None:
        """Append a line of the agent's own, after what has come."""
        if self._reading >= 0:
            self._read()
        self._take(f"\n[secureflow: {text}]\n".encode())

    async def close(self, patience: float = 1.0) -> None:
        """Take what is left in the pipe, and close it: nobody writes any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._ended.wait()
        self._stop()
        if self.inherited >= 0:
            self.give_away()
        os.close(self._file)

    def _stop(self) -> None:
        if self._reading >= 0:
            asyncio.get_running_loop().remove_reader(self._reading)
            os.close(self._reading)
            self._reading = -1
        self._ended.set()

    def _read(self) -> None:
        for _ in range(_TURNS):
            try:
                data = os.read(self._reading, _AT_ONCE)
            except BlockingIOError:
                return
            if not data:
                self._stop()
                return
            self._take(data)

    def _take(self, data: bytes) -> None:
        before, self._came = self._came, self._came + len(data)
        room = self._kept - before
        with contextlib.suppress(OSError):  # a full disk must not end the job for a log
            if room > 0:
                os.write(self._file, data[:room])
            if self._kept and before <= self._kept < self._came:
                os.write(self._file, _CUT)
        if before <= FLOOD < self._came:
            self._flooded()
