"""Which values a peer has sent over SPU's links; what comes in chunks must be as SPU cuts it.

Of a value that comes in chunks yacl makes room for as many bytes as its first chunk says, writes
where each further one says, takes it for whole once so many bytes have come, and forgets it
(`channel.cc`, `OnChunkedMessage`). So two chunks must not lie on each other, and all say one
length. None may follow when all have come: it could say another length, and still be read before
the last one, which came on another stream.

yacl counts what a party sends to another, 1, 2, … over all of their streams, and writes the count
behind the key: a value is known by it. It has a window of values that were not taken yet, so what
an honest party has sent is a range of counts and a few behind it.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

from secureflow.adapters.mpcengines.speaking import UNKNOWN, ImpostorError

CHUNK: Final = 1 << 20
"""Bytes into which SPU cuts a value; the last ones may be fewer."""
MAX_VALUE: Final = 1 << 37
"""Bytes of a value that comes in chunks."""
MOST: Final = 1 << 12
"""Values of a peer that are not whole, and ranges of what came; the window is of 64 (`link`)."""
_COUNTED: Final = re.compile(rb"(?:(?!\x01\x02).)*\x01\x02([1-9][0-9]{0,17})", re.DOTALL)


@dataclass
class _Coming:
    """A value of which some chunks have come.

    Args:
        digest: of its key.
        length: in bytes, as its first chunk said.
        offsets: of the chunks that came.
    """

    digest: bytes
    length: int
    offsets: set[int] = field(default_factory=set)


class Values:
    """What one peer sends to this party in a run, over all of its streams."""

    def __init__(self) -> None:
        self._coming: dict[int, _Coming] = {}
        self._whole = _Ranges()

    def came(self, key: bytes) -> None:
        """Take note of a value that comes in one piece."""
        if (found := _COUNTED.fullmatch(key)) is not None:
            self._whole.add(int(found[1]))

    def chunk(self, key: bytes, length: int, offset: int, size: int) -> None:
        """Take note of a chunk of so many bytes, which begins there in a value of that length.

        Raises:
            ImpostorError: SPU would not send it; see the module.
        """
        found = _COUNTED.fullmatch(key)
        cut = not offset % CHUNK and 0 < size == min(CHUNK, length - offset)
        if found is None or not cut or length > MAX_VALUE:
            raise ImpostorError(UNKNOWN)
        number = int(found[1])
        if number in self._whole:
            raise ImpostorError(UNKNOWN)
        name = hashlib.blake2b(key, digest_size=16).digest()
        coming = self._coming.setdefault(number, _Coming(name, length))
        if (coming.digest, coming.length) != (name, length) or len(self._coming) > MOST:
            raise ImpostorError(UNKNOWN)
        coming.offsets.add(offset)
        if len(coming.offsets) * CHUNK >= length:
            del self._coming[number]
            self._whole.add(number)


class _Ranges:
    """Numbers, most of which follow one another."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number)
        return at > 0 and number < self._ends[at - 1]

    def add(self, number: int) -> None:
        """Add one.

        Raises:
            ImpostorError: there are more than `MOST` ranges.
        """
        if number in self:
            return
        at = bisect_right(self._starts, number)
        before = at > 0 and self._ends[at - 1] == number
        behind = at < len(self._starts) and self._starts[at] == number + 1
        if before and behind:
            del self._starts[at]
            del self._ends[at - 1]
        elif before:
            self._ends[at - 1] = number + 1
        elif behind:
            self._starts[at] = number
        else:
            self._starts.insert(at, number)
            self._ends.insert(at, number + 1)
        if len(self._starts) > MOST:
            raise ImpostorError(UNKNOWN)
