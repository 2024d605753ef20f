"""JSON, one bounded message a line, over the pipe between driver and gateway process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any, Final

LINE_BYTES: Final = 16 << 20
_BLOCK: Final = 1 << 16


class Pipe:
    """Standard input and output as lines.

    Whatever else prints (a library) goes to standard error from now on.
    """

    def __init__(self) -> None:
        self._out = os.dup(1)
        os.dup2(2, 1)
        self._writing = asyncio.Lock()
        self._reader: asyncio.StreamReader | None = None

    async def line(self) -> Any:
        """Return the next message; None once the driver is gone.

        Raises:
            ValueError: it is too long, or no JSON: then nothing that follows can be trusted.
        """
        if self._reader is None:
            self._reader = asyncio.StreamReader(limit=LINE_BYTES)
            protocol = asyncio.StreamReaderProtocol(self._reader)
            await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        line = await self._reader.readline()  # ValueError beyond the limit
        return json.loads(line) if line.endswith(b"\n") else None

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message, or say that it was too long."""
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if len(data) > LINE_BYTES:
            told = {"id": message.get("id"), "error": {"status": "too_large", "words": ""}}
            data = json.dumps(told).encode() + b"\n"
        async with self._writing:
            await asyncio.get_running_loop().run_in_executor(None, self._write, data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._out, view[:_BLOCK]) :]
