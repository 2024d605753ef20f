"""Several connections inside one channel, each with its own window, and a clean end.

TLS between both agents carries pieces: `kind (1 byte) ‖ connection (4) ‖ number (4)`, big-endian,
and after a `DATA` so many bytes as its number says.

| kind     | number           | meaning                                                        |
|----------|------------------|----------------------------------------------------------------|
| `READY`  | `VERSION`        | the first piece: this end has verified the other               |
| `OPEN`   | 0                | a new connection; the TLS client's numbers are odd             |
| `DATA`   | bytes            | bytes of a connection                                          |
| `CREDIT` | bytes            | so many more may be sent on the connection                     |
| `END`    | 0                | this end writes no more on the connection                      |
| `ABORT`  | 0                | this end neither reads nor writes the connection any more      |
| `CLOSE`  | 0                | this end neither reads nor writes anything more                |
| `SEEN`   | 0                | the answer to a `CLOSE`                                        |
| `PING`   | 0                | this end is there; nobody else can say so                      |
| `FAIL`   | 0                | this end gives the channel up                                  |

A sender may send what it was given credit for, so a connection that nobody reads holds at most its
window here, and stops its sender there; the others go on (as in HTTP/2, RFC 9113 section 5.2). A
connection begins with `FIRST_WINDOW`; where it is read its window grows to `WINDOW`, as long as all
windows of a channel together stay below `ALL_WINDOWS`. Connection 0 exists from the beginning.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from secureflow.engines.peers.faults import ChannelFaultError

VERSION: Final = 1
MESSAGES: Final = 0
"""The connection that carries whole messages."""
MAX_OPENED: Final = 32
"""Connections that one end may have opened at the same time."""
_MAX_THEIRS: Final = 4 * MAX_OPENED
"""More are not kept here: this end may still have to read those that the other has done with."""
MOST_OPENED: Final = 4096
"""Connections that an end opens in all; engines have some dozens in a run."""
FIRST_WINDOW: Final = 256 * 1024
WINDOW: Final = 4 << 20
ALL_WINDOWS: Final = 32 << 20
PIECE: Final = 64 * 1024
"""Bytes of one `DATA`: other connections wait no longer than for that."""
OUTBOX: Final = 1 << 20
"""Bytes that wait for TLS; a writer waits for room."""
_OWN_COST: Final = 64
"""A piece of few bytes counts as so many more there."""
CONTROLS: Final = 16_384
"""Pieces without bytes that wait for TLS; who makes this end answer more and takes none breaks the
rules, and this end opens no connection beyond half of them."""
_SMALL: Final = 4096
"""Shorter pieces are put together where they wait to be read, so that each costs what it holds."""
_HEADER: Final = struct.Struct(">BII")


class PieceKind(IntEnum):
    """The kinds of pieces."""

    READY = 1
    OPEN = 2
    DATA = 3
    CREDIT = 4
    END = 5
    ABORT = 6
    CLOSE = 7
    FAIL = 8
    SEEN = 9
    PING = 10


@dataclass
class _Connection:
    credit: int = FIRST_WINDOW
    """Bytes that the other end still takes."""
    window: int = FIRST_WINDOW
    allowed: int = FIRST_WINDOW
    """Bytes that the other end may still send."""
    chunks: deque[bytearray | memoryview] = field(default_factory=deque)
    size: int = 0
    ended_here: bool = False
    ended_there: bool = False
    aborted: bool = False


class Multiplexer:
    """One end of a channel's connections.

    Args:
        client: whether this end is the TLS client.
    """

    def __init__(self, *, client: bool) -> None:
        self._next_own = 1 if client else 2
        self._highest_theirs = 0
        self._theirs = 0 if client else 1  # parity of the other end's numbers
        self._connections: dict[int, _Connection] = {MESSAGES: _Connection()}
        self._windows = FIRST_WINDOW
        self._accepted: deque[int] = deque()
        self._outbox: deque[bytes | memoryview] = deque()
        self._waiting = 0
        self._controls = 0
        self._header = bytearray()
        self._data_left = 0
        self._data_of: _Connection | None = None
        self._number = MESSAGES
        self.ready = False
        """Whether the other end has verified this one."""
        self.closed_there = False
        self.failed_there = False
        self.closed_here = False
        self.seen_there = False
        """Whether the other end knows that this one has closed."""
        self.sent = 0
        """Bytes of content so far, without headers."""
        self.received = 0
        self.carried = 0
        """Bytes so far, both ways, with headers: what says nothing costs as well."""
        self._say(PieceKind.READY, 0, VERSION)

    # What this end does.

    def open(self) -> int | None:
        """Open a connection and return its number; None if there are too many."""
        if self._count(1 - self._theirs) >= MAX_OPENED or self._controls >= CONTROLS // 2:
            return None
        number, self._next_own = self._next_own, self._next_own + 2
        self._add(number)
        self._say(PieceKind.OPEN, number)
        return number

    def accept(self) -> int | None:
        """Return the next connection that the other end opened, or None."""
        return self._accepted.popleft() if self._accepted else None

    def write(self, number: int, data: memoryview) -> int:
        """Take as much as there are credit and room for; return how many bytes.

        `data` must not change afterwards. After the other end closed, or where it aborted the
        connection, bytes are taken and go nowhere.
        """
        connection = self._connections.get(number)
        if connection is None or connection.aborted or self.closed_there:
            return len(data)
        taken = 0
        while taken < len(data) and connection.credit and self._waiting < OUTBOX:
            size = min(len(data) - taken, connection.credit, PIECE)
            self._say(PieceKind.DATA, number, size)
            self._outbox.append(data[taken : taken + size])
            self._waiting += size + _OWN_COST
            connection.credit -= size
            self.sent += size
            self.carried += size
            taken += size
        return taken

    def read(self, number: int, most: int) -> bytes | None:
        """Return up to `most` bytes that have come; b"" at the end; None if one must wait."""
        connection = self._connections.get(number)
        if connection is None or connection.aborted or self.closed_here:
            return b""
        if not connection.size:
            return b"" if connection.ended_there or self.closed_there else None
        data = _taken(connection, most)
        self._give_credit(number, connection)
        self._drop_if_done(number, connection)
        return data

    def aborted(self, number: int) -> bool:
        """Tell whether the other end aborted the connection."""
        connection = self._connections.get(number)
        return connection is not None and connection.aborted

    def end(self, number: int) -> None:
        """Write no more on a connection."""
        connection = self._connections.get(number)
        if connection is not None and not connection.ended_here:
            connection.ended_here = True
            self._say_about(PieceKind.END, number)
            self._drop_if_done(number, connection)

    def abort(self, number: int) -> None:
        """Neither read nor write a connection any more."""
        connection = self._connections.get(number)
        if connection is None:
            return
        if not connection.aborted:
            self._say_about(PieceKind.ABORT, number)
        self._remove(number)

    def close(self) -> None:
        """Neither read nor write anything more; what comes is dropped."""
        if self.closed_here:
            return
        self.closed_here = True
        self._say(PieceKind.CLOSE, 0)
        for number, connection in self._connections.items():
            connection.chunks.clear()
            connection.size = 0
            self._give_credit(number, connection)

    def fail(self) -> None:
        """Give the channel up: nothing that waits is sent any more."""
        self._outbox.clear()
        self._waiting = self._controls = 0
        self._say(PieceKind.FAIL, 0)

    def ping(self) -> None:
        """Show that this end is there, unless something else is about to show it.

        What was dropped or cut off before it on the way is noticed with it.
        """
        if not self._outbox:
            self._say(PieceKind.PING, 0)

    def pull(self, most: int) -> bytes:
        """Return up to about `most` bytes for TLS; empty if there is nothing to send."""
        parts: list[bytes | memoryview] = []
        size = 0
        while self._outbox and size < most:
            part = self._outbox.popleft()
            parts.append(part)
            size += len(part)
            if part[0] == PieceKind.DATA:  # never without its bytes, which a `fail` would drop
                data = self._outbox.popleft()
                parts.append(data)
                size += len(data)
                self._waiting -= len(data) + _OWN_COST
            else:
                self._controls -= 1
        return b"".join(parts)

    @property
    def has_output(self) -> bool:
        """Whether `pull` would return anything."""
        return bool(self._outbox)

    # What the other end does.

    def feed(self, data: bytes) -> None:
        """Take what TLS has decrypted.

        Raises:
            ChannelFaultError: it breaks the rules, which only the peer itself can do.
        """
        view, at = memoryview(data), 0
        while at < len(view):
            if self._data_left:
                size = min(self._data_left, len(view) - at)
                self._keep(view[at : at + size])
                at += size
                continue
            missing = _HEADER.size - len(self._header)
            self._header += view[at : at + missing]
            at += missing
            if len(self._header) == _HEADER.size:
                kind, number, value = _HEADER.unpack(self._header)
                self._header.clear()
                self._take(kind, number, value)

    def _take(self, code: int, number: int, value: int) -> None:
        self.carried += _HEADER.size
        try:
            kind = PieceKind(code)
        except ValueError as error:
            raise ChannelFaultError("the peer sent an unknown kind of piece") from error
        if self.closed_there and kind not in _AFTER_CLOSE:
            raise ChannelFaultError("the peer sent something after it had closed")
        if not self.ready and kind is not PieceKind.READY:
            raise ChannelFaultError("the peer did not begin with its version")
        if self._controls > CONTROLS:
            raise ChannelFaultError("the peer takes nothing of what it is answered")
        if kind in _ABOUT_CHANNEL:
            self._take_channel(kind, value)
        elif kind is PieceKind.OPEN:
            self._take_open(number)
        else:
            self._take_connection(kind, number, value)

    def _take_channel(self, kind: PieceKind, value: int) -> None:
        if kind is PieceKind.READY:
            if self.ready or value != VERSION:
                raise ChannelFaultError("the peer speaks another version of channels")
            self.ready = True
        elif kind is PieceKind.CLOSE:
            self.closed_there = True
            self._say(PieceKind.SEEN, 0)
        elif kind is PieceKind.SEEN:
            if not self.closed_here:
                raise ChannelFaultError("the peer saw a close that was not sent")
            self.seen_there = True
        elif kind is PieceKind.FAIL:
            self.failed_there = True

    def _take_open(self, number: int) -> None:
        if number % 2 != self._theirs or number <= self._highest_theirs:
            raise ChannelFaultError("the peer opened a connection with a wrong number")
        if self._count(self._theirs) >= _MAX_THEIRS or number > 2 * MOST_OPENED:
            raise ChannelFaultError("the peer opened too many connections")
        self._highest_theirs = number
        self._add(number)
        self._accepted.append(number)

    def _take_connection(self, kind: PieceKind, number: int, value: int) -> None:
        connection = self._connections.get(number)
        if connection is None and not self._is_past(number):
            raise ChannelFaultError("the peer named a connection that does not exist")
        if kind is PieceKind.DATA:
            self._take_data(number, connection, value)
        elif connection is None:
            return
        elif kind is PieceKind.CREDIT:
            if connection.credit + value > 2 * WINDOW:
                raise ChannelFaultError("the peer gave more credit than a window")
            connection.credit += value
        elif kind is PieceKind.END:
            connection.ended_there = True
            self._drop_if_done(number, connection)
        elif number == MESSAGES:
            raise ChannelFaultError("the peer aborted the connection of messages")
        else:
            connection.aborted = True
            connection.chunks.clear()
            connection.size = 0
            if number in self._accepted:
                self._accepted.remove(number)
                self._remove(number)

    def _take_data(self, number: int, connection: _Connection | None, size: int) -> None:
        if size > PIECE:
            raise ChannelFaultError("the peer sent a piece that is too long")
        if connection is not None and (connection.ended_there or size > connection.allowed):
            raise ChannelFaultError("the peer sent more on a connection than it may")
        if connection is not None:
            connection.allowed -= size
        self._data_left, self._data_of, self._number = size, connection, number

    def _keep(self, data: memoryview) -> None:
        """Keep bytes of a connection; those of one that was aborted are dropped."""
        self._data_left -= len(data)
        self.carried += len(data)
        connection = self._data_of
        if connection is None or connection.aborted:
            return
        if self.closed_here:
            self._give_credit(self._number, connection)
            return
        if len(data) >= _SMALL:
            connection.chunks.append(data)
        elif connection.chunks and isinstance(connection.chunks[-1], bytearray):
            connection.chunks[-1] += data
        else:
            connection.chunks.append(bytearray(data))
        connection.size += len(data)
        self.received += len(data)

    def _count(self, parity: int) -> int:
        """Return how many connections of one end there are."""
        return sum(1 for one in self._connections if one != MESSAGES and one % 2 == parity)

    def _is_past(self, number: int) -> bool:
        """Tell whether a connection of this number existed: late pieces of it may be on the way."""
        if number % 2 == self._theirs:
            return number <= self._highest_theirs
        return number < self._next_own

    def _add(self, number: int) -> None:
        self._connections[number] = _Connection()
        self._windows += FIRST_WINDOW

    def _remove(self, number: int) -> None:
        connection = self._connections.pop(number)
        self._windows -= connection.window
        connection.aborted = True
        connection.chunks.clear()

    def _drop_if_done(self, number: int, connection: _Connection) -> None:
        done = connection.ended_here and connection.ended_there and not connection.size
        if done and number in self._connections and number != MESSAGES:
            self._remove(number)

    def _give_credit(self, number: int, connection: _Connection) -> None:
        """Allow as much as was read, once it is worth a piece; grow a window that is used."""
        held = connection.size + connection.allowed
        due = connection.window - held
        if due < connection.window // 4 or connection.ended_there or self.closed_there:
            return
        grown = min(2 * connection.window, WINDOW)
        if self._windows + grown - connection.window <= ALL_WINDOWS:
            self._windows += grown - connection.window
            due += grown - connection.window
            connection.window = grown
        connection.allowed += due
        self._say(PieceKind.CREDIT, number, due)

    def _say_about(self, kind: PieceKind, number: int) -> None:
        """Say something about a connection, unless this end has closed: then it says no more."""
        if not self.closed_here:
            self._say(kind, number)

    def _say(self, kind: PieceKind, number: int, value: int = 0) -> None:
        self.carried += _HEADER.size
        self._outbox.append(_HEADER.pack(kind, number, value))
        if kind is not PieceKind.DATA:
            self._controls += 1


_ABOUT_CHANNEL: Final = frozenset(
    {PieceKind.READY, PieceKind.CLOSE, PieceKind.FAIL, PieceKind.SEEN, PieceKind.PING}
)
_AFTER_CLOSE: Final = frozenset(
    {PieceKind.CREDIT, PieceKind.ABORT, PieceKind.FAIL, PieceKind.SEEN, PieceKind.PING}
)
"""What an end may still say then: nothing of content."""


def _taken(connection: _Connection, most: int) -> bytes:
    parts: list[bytearray | memoryview] = []
    size = 0
    while connection.chunks and size < most:
        chunk = connection.chunks.popleft()
        if size + len(chunk) > most:
            rest, chunk = chunk, chunk[: most - size]
            if isinstance(rest, bytearray):
                del rest[: len(chunk)]  # moves where it begins: nothing is copied
            else:
                rest = rest[len(chunk) :]
            connection.chunks.appendleft(rest)
        parts.append(chunk)
        size += len(chunk)
    connection.size -= size
    return b"".join(parts)
