"""How SPU 0.9.5 says who speaks: each message of its links names its sender (yacl over brpc).

A party sends messages to another's port, over connections of its own, and gets answers there:

    connection  = frame*
    frame       = "PRPC", bytes of the rest (4, big-endian), of these meta (4), meta, body
    meta        = of a message: the one service and method, no compression, the call's number
                  of an answer: an error or none, no compression, the call's number
    body        = PushRequest: sender_rank 1, key 2, value 3, trans_type 4, chunk_info 5

(brpc's `baidu_rpc_protocol.cpp` and `baidu_rpc_meta.proto`, interconnection's `transport.proto`.)
The receiver takes a message for one of the party that `sender_rank` names, so that must be the peer
whose channel carries it, 0 for a message that leaves it out. An answer names nobody, but a call:
its number is one of the process, whatever connection the answer comes on. So it must be one that
this party's engine made on that connection, and was not answered.

What is let through is what SPU itself writes and nothing that only means the same: fields in
ascending order, each once, numbers as short as they can be, no further fields. A parser of Protocol
Buffers takes the last of several `sender_rank`s, takes an unknown field for none, unpacks a body
that says it is compressed and leaves out what is said to be an attachment: none of it gets that
far. brpc speaks a dozen other protocols on the same port, which begin otherwise, and has services
of its own: neither does. Nor does a chunk that lies beyond its message: yacl makes room for as many
bytes as the first chunk of a key says, writes where each further one says, unseen, and takes the
whole for there once as many bytes have come. So chunks are as SPU cuts them, or two could lie on
each other and leave out what memory held before; all of a key say the same length, in whichever of
the peer's streams they come; and none follows once all have come (`spu_values`).

Nothing is held but what is not known yet: a key at most. A value passes as it comes; it counts for
nothing in the engine before its frame is whole, and the end of a frame is held until all of it was
right.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable
from typing import Final

from secureflow.adapters.mpcengines.speaking import (
    FOREIGN,
    UNKNOWN,
    ImpostorError,
    Listener,
    Stream,
)
from secureflow.adapters.mpcengines.spu_values import Values

MAX_FRAME: Final = 64 << 20
"""Bytes of a message, as brpc has it."""
MAX_ANSWER: Final = 64 << 10
"""Bytes of an answer: no value is in it, but the reason of an error may be."""
_MAX_META: Final = 16 << 10
_MAX_KEY: Final = 4096
_HEADER: Final = struct.Struct(">4sII")
_VARINT: Final = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
_SERVICE: Final = b"org.interconnection.link.ReceiverService"
_METHOD: Final = b"Push"
_REQUEST: Final = b"\n%c%b\x12%c%b" % (len(_SERVICE), _SERVICE, len(_METHOD), _METHOD)
_CALL: Final = rb"\x18\x00\x20(" + _VARINT + rb")"
"""No compression, and the number of a call."""
_MESSAGE: Final = re.compile(re.escape(b"\n%c%b" % (len(_REQUEST), _REQUEST)) + _CALL, re.DOTALL)
_ANSWERED: Final = re.compile(_CALL, re.DOTALL)
_RANK, _KEY, _VALUE, _KIND, _CHUNK = 0x08, 0x12, 0x1A, 0x20, 0x2A
"""Tags of a message's fields, with their wire types."""
_CHUNKED: Final = 1
_SHORT: Final = 32
"""More bytes than any field's tag and number, or all of `chunk_info`, have."""


class Speech:
    """Returns who listens to a stream of SPU's (`speaking.Speech`), in one run."""

    def __init__(self) -> None:
        self._values: dict[int, Values] = {}

    def __call__(self, stream: Stream) -> Listener:
        """Return who listens to a stream."""
        if not stream.theirs:
            return _Answers()
        return _Messages(stream.peer, self._values.setdefault(stream.peer, Values()))


class _Frames:
    """Follows the frames of one direction.

    A step looks at what is there from a place on, and returns how many bytes of it may pass, 0 for
    "not enough of it has come".
    """

    most = MAX_FRAME

    def __init__(self) -> None:
        self._held = bytearray()
        self._unseen = 0
        """Bytes of a value that pass as they come."""
        self._left = 0
        """Bytes of the frame behind all that was looked at."""
        self._meta = 0
        self._step: Callable[[int], int] = self._header

    def passed(self, data: bytes) -> bytes:
        """See `Listener`."""
        if not self._held and self._unseen >= len(data):
            self._unseen -= len(data)
            return data
        self._held += data
        at, size = 0, len(self._held)
        while at < size:
            if self._unseen:
                used = min(self._unseen, size - at)
                self._unseen -= used
            else:
                used = self._step(at)
            if not used:
                break
            at += used
        passed = bytes(memoryview(self._held)[:at])
        del self._held[:at]
        return passed

    def said(self, data: bytes) -> None:
        """See `Listener`."""

    def _header(self, at: int) -> int:
        found = bytes(self._held[at : at + _HEADER.size])
        if not b"PRPC".startswith(found[:4]):
            raise ImpostorError(UNKNOWN)
        if len(found) < _HEADER.size:
            return 0
        _, size, meta = _HEADER.unpack(found)
        if not 0 < meta <= min(size, _MAX_META) or size > self.most:
            raise ImpostorError(UNKNOWN)
        self._meta, self._left = meta, size - meta
        self._step = self._whole_meta
        return _HEADER.size

    def _whole_meta(self, at: int) -> int:
        if len(self._held) - at < self._meta:
            return 0
        self._check_meta(bytes(self._held[at : at + self._meta]))
        self._begin()
        return self._meta

    def _check_meta(self, meta: bytes) -> None:
        raise NotImplementedError

    def _begin(self) -> None:
        """Go on with the body of a frame."""
        raise NotImplementedError


class _Calls(_Frames):
    """What this party's engine says on a connection that it opened: calls."""

    def __init__(self) -> None:
        super().__init__()
        self.open: set[bytes] = set()
        """Numbers of those that were not answered, as they are written."""

    def _check_meta(self, meta: bytes) -> None:
        if found := _MESSAGE.fullmatch(meta):
            self.open.add(found[1])

    def _begin(self) -> None:
        self._unseen, self._left = self._left, 0
        self._step = self._header


class _Answers(_Frames):
    """What comes back on a connection that this party's engine opened."""

    most = MAX_ANSWER

    def __init__(self) -> None:
        super().__init__()
        self._calls = _Calls()

    def said(self, data: bytes) -> None:
        """See `Listener`; of an engine that says what none says no answer is known."""
        with contextlib.suppress(ImpostorError):
            self._calls.passed(data)

    def _check_meta(self, meta: bytes) -> None:
        told = _number(meta, 1) if meta.startswith(b"\x12") else None
        found = told and _ANSWERED.fullmatch(meta, sum(told))
        if not found:
            raise ImpostorError(UNKNOWN)
        if found[1] not in self._calls.open:
            raise ImpostorError(FOREIGN)
        self._calls.open.remove(found[1])

    def _begin(self) -> None:
        self._unseen, self._left = self._left, 0
        self._step = self._header


class _Messages(_Frames):
    """What a peer says on a connection that it opened.

    Args:
        peer: its number.
        values: what it sends, over all of its connections.
    """

    def __init__(self, peer: int, values: Values) -> None:
        super().__init__()
        self._rank = b"\x08" + _written(peer) if peer else b""
        self._values = values
        self._key = b""
        self._tag = 0
        self._size = 0

    def _check_meta(self, meta: bytes) -> None:
        if not _MESSAGE.fullmatch(meta):
            raise ImpostorError(UNKNOWN)

    def _begin(self) -> None:
        self._tag = self._size = 0
        self._key = b""
        self._step = self._sender
        if self._left <= len(self._rank):  # nothing would be party 0's
            raise ImpostorError(FOREIGN)

    def _sender(self, at: int) -> int:
        """See that the first field names the peer; party 0 is who leaves it out."""
        size = len(self._rank)
        found = bytes(self._held[at : at + size + 1])
        if not (self._rank + bytes([_KEY])).startswith(found):
            raise ImpostorError(FOREIGN)
        if len(found) <= size:
            return 0
        self._used(size, _RANK)
        return size or self._field(at)

    def _field(self, at: int) -> int:
        """Take the next field, or the beginning of one that passes as it comes."""
        some = bytes(self._held[at : at + min(_SHORT, self._left)])
        whole = len(some) == min(_SHORT, self._left)
        tag = some[0]
        if tag <= self._tag or tag not in {_KEY, _VALUE, _KIND, _CHUNK}:
            raise ImpostorError(UNKNOWN)
        read = _number(some, 1)
        if read is None:
            if whole:
                raise ImpostorError(UNKNOWN)
            return 0
        number, end = read
        if tag == _KIND:
            if number != _CHUNKED:
                raise ImpostorError(UNKNOWN)
            self._used(end, tag)
            return end
        if number > self._left - end:
            raise ImpostorError(UNKNOWN)
        if tag == _KEY:
            return self._named(at, end, number)
        if tag == _VALUE:
            self._size = number
            self._used(end + number, tag)
            self._unseen = number
            return end
        return self._chunk(some, end, number)

    def _named(self, at: int, start: int, size: int) -> int:
        """Take the key, whole."""
        if size > _MAX_KEY:
            raise ImpostorError(UNKNOWN)
        if len(self._held) - at < start + size:
            return 0
        self._key = bytes(self._held[at + start : at + start + size])
        self._used(start + size, _KEY)
        return start + size

    def _chunk(self, some: bytes, start: int, size: int) -> int:
        """Take `chunk_info`: the bytes of the message, and where this part of it begins."""
        if start + size >= _SHORT or self._tag != _KIND:
            raise ImpostorError(UNKNOWN)
        if len(some) < start + size:
            return 0
        found, at, before = {0x08: 0, 0x10: 0}, start, 0
        while at < start + size:
            tag, read = some[at], _number(some[: start + size], at + 1)
            if read is None or tag not in found or tag <= before:
                raise ImpostorError(UNKNOWN)
            found[tag], at = read
            before = tag
        self._values.chunk(self._key, found[0x08], found[0x10], self._size)
        self._used(start + size, _CHUNK)
        return start + size

    def _used(self, size: int, tag: int) -> None:
        self._left -= size
        self._tag = tag
        self._step = self._field
        if not self._left:
            if tag == _KIND:
                raise ImpostorError(UNKNOWN)
            if tag != _CHUNK:
                self._values.came(self._key)
            self._step = self._header


def _number(data: bytes, at: int) -> tuple[int, int] | None:
    """Read a number as it is written shortest; return it, and where it ends; None if it is cut off.

    Raises:
        ImpostorError: it is longer than 64 bits, or than it need be.
    """
    value = 0
    for count, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if (not byte and count) or value >= 1 << 64:
                raise ImpostorError(UNKNOWN)
            return value, at + count + 1
    if len(data) >= at + 10:
        raise ImpostorError(UNKNOWN)
    return None


def _written(number: int) -> bytes:
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))
