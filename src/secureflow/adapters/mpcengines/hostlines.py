"""The agent's end of the channel to an engine's process: messages of bounded size, and sockets.

Descriptors come along with bytes (SCM_RIGHTS). They are taken with the first messages alone, before
any code of an engine is loaded (`host.doors`); one that comes later is closed unseen. What is taken
must be a TCP socket: one of another kind could be a file of anybody's, or block whoever reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections import deque
from typing import Any, Final

from secureflow.adapters.mpcengines import host
from secureflow.adapters.mpcengines.readiness import readable
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError

LINE_BYTES: Final = host.LINE_BYTES
_BLOCK: Final = 1 << 18
_AT_ONCE: Final = 128
"""Descriptors of one message."""


class LineRefused(Exception):  # noqa: N818 - becomes an error that names the party
    """What came is no message, or no socket; the reason is for people."""


class Ended(Exception):  # noqa: N818 - becomes an error that names the party
    """The process closed its end."""


class HostLines:
    """Reads messages and raw bytes.

    Args:
        channel: our end, non-blocking; its owner closes it.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._rest = bytearray()
        self._sockets: deque[int] = deque()
        self._takes = True

    async def send(self, line: bytes) -> None:
        """Send the one line that the process gets."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._channel, line)
        except OSError as error:
            raise Ended from error

    async def message(self) -> dict[str, Any]:
        """Return the next message.

        Raises:
            LineRefused: it is too long, or no JSON object.
            Ended: there is none.
        """
        seen = 0
        while (end := self._rest.find(b"\n", seen)) < 0:
            seen = len(self._rest)
            if seen >= LINE_BYTES:
                reason = "its message is too long"
                raise LineRefused(reason)
            self._rest += await self._received(_BLOCK)
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        try:
            found = parse_json(line, LINE_BYTES)
        except SecureFlowError as error:
            reason = "its message is no JSON"
            raise LineRefused(reason) from error
        if not isinstance(found, dict):
            reason = "its message is no JSON"
            raise LineRefused(reason)
        return found

    async def raw(self, most: int) -> bytes:
        """Return at most so many raw bytes, at least one.

        Raises:
            Ended: there are none.
        """
        if not self._rest:
            self._rest += await self._received(min(most, _BLOCK))
        found = bytes(self._rest[:most])
        del self._rest[:most]
        return found

    def sockets(self, count: int) -> list[socket.socket]:
        """Return sockets that came, non-blocking; the caller closes them.

        Raises:
            LineRefused: there are fewer, or one is no TCP socket; none is left open then.
        """
        if len(self._sockets) < count:
            reason = "its sockets are missing"
            raise LineRefused(reason)
        with contextlib.ExitStack() as stack:
            made = [stack.enter_context(_tcp(self._sockets.popleft())) for _ in range(count)]
            stack.pop_all()
        return made

    def take_no_more(self) -> None:
        """Close what came and was not asked for, and everything that comes from now on."""
        self._takes = False
        while self._sockets:
            os.close(self._sockets.popleft())

    async def _received(self, size: int) -> bytes:
        while True:
            try:
                data, handles, flags, _ = socket.recv_fds(
                    self._channel, size, _AT_ONCE, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                await readable(self._channel)
                continue
            except OSError as error:
                raise Ended from error
            self._sockets.extend(handles)
            if not self._takes or flags & socket.MSG_CTRUNC:
                self.take_no_more()
            if not data:
                raise Ended
            return data


def _tcp(handle: int) -> socket.socket:
    """Return the TCP socket of a descriptor; any other one is closed."""
    if not stat.S_ISSOCK(os.fstat(handle).st_mode):
        os.close(handle)
        reason = "what it passed is no socket"
        raise LineRefused(reason)
    made = socket.socket(fileno=handle)
    kind = made.family, made.type & ~socket.SOCK_NONBLOCK, made.proto
    if kind != (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP):
        made.close()
        reason = "what it passed is no socket of TCP"
        raise LineRefused(reason)
    made.setblocking(False)
    return made
