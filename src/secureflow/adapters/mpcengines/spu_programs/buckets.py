"""Lists of keys cut into buckets that say nothing, and back.

A key is 16 bytes: a digest of what the parties join on, so keys are spread evenly. SPU is handed
the first 90 bits of each, 15 characters: two keys of ten million at each side are taken for one
with a chance of 1e-13. A key's bucket is drawn from it and from the job, alike at all parties; a
bucket is one run of the protocol, and what has run need not run again in the next attempt.

Each bucket is filled up with random keys to a size that follows from the length of the list alone:

- How many keys a bucket holds would tell a little of which keys there are.
- SPU's `psi_execute` sends the other party the SHA-256 of all keys in plain before it starts
  (`check_hash_digest`, which it sets itself: psi v0.6, `launch.cc`, `interface.cc`). Whoever knows
  or guesses all keys of a short list could prove it by that, whatever the protocol hides. Random
  keys that nobody knows are among them, eight at least, so the digest says nothing.

The order within a bucket is drawn anew each time.
"""

from __future__ import annotations

import math
import os
from binascii import Error as BinasciiError
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .errors import RefusedError
from .sizes import BUCKET, KEY, MAX_KEYS

SPARE: Final = 8
"""Random keys that every bucket has at least."""
_DEVIATIONS: Final = 8.0
"""A bucket has room for its mean and so many standard deviations: 1e-15 do not fit."""
_HEAD: Final = b"k\n"
_WORD: Final = 24
"""Characters of a key in base64 that is filled up with zeros to 18 bytes, which need no padding."""
_SPELT: Final = 15
"""How many of them are written, 90 bits: SPU's C++ holds so many without asking for memory."""
_REST: Final = np.frombuffer(b"A" * (_WORD - _SPELT), np.uint8)
_LOW: Final = np.uint64((1 << 64) - (1 << 128 - 6 * _SPELT))
"""What is written of a key's second half."""
_CHUNK: Final = 1 << 18
"""Keys that are spelled at once."""

Bytes = NDArray[np.uint8]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Bucketing:
    """How the lists of all parties are cut.

    Args:
        count: of buckets.
        lot: what a key's bucket is drawn with, known to all.
    """

    count: int
    lot: int

    @classmethod
    def of(cls, job: str, sizes: list[int], most: int = BUCKET) -> Bucketing:
        """Return the buckets of a job over lists of these lengths, each of so many keys."""
        lot = sha256(b"secureflow/v1/psi-buckets\0" + job.encode()).digest()
        return cls(max(1, math.ceil(max(sizes) / most)), int.from_bytes(lot[:8], "big"))

    def room(self, size: int) -> int:
        """Return how many keys each bucket of a list of this length is filled up to."""
        if self.count == 1:
            return size + SPARE
        mean = size / self.count
        return math.ceil(mean + _DEVIATIONS * math.sqrt(mean)) + 2 * SPARE

    def sort(self, keys: Bytes) -> list[Rows]:
        """Return the rows of each bucket.

        Raises:
            RefusedError: `bucket_full`, which no list meets by chance.
        """
        drawn = self._drawn(keys)
        order = np.argsort(drawn, kind="stable")
        ends = np.cumsum(np.bincount(drawn, minlength=self.count))
        rows = np.split(order.astype(np.int64, copy=False), ends[:-1])
        if max(map(len, rows)) > self.room(len(keys)) - SPARE:
            raise RefusedError("bucket_full")
        return rows

    def _drawn(self, keys: Bytes) -> NDArray[np.uint16]:
        """Return each key's bucket (the finaliser of SplitMix64 over its first eight bytes)."""
        mixed = keys[:, :8].copy().view(">u8")[:, 0].astype(np.uint64) ^ np.uint64(self.lot)
        mixed ^= mixed >> np.uint64(30)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(27)
        mixed *= np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
        return (mixed % np.uint64(self.count)).astype(np.uint16)


def read_keys(path: Path) -> Bytes:
    """Return the keys of a file, one after the other without anything between.

    Raises:
        RefusedError: `keys_malformed`.
    """
    size = path.stat().st_size
    if size % KEY or size // KEY > MAX_KEYS:
        raise RefusedError("keys_malformed", bytes=size)
    if not size:
        return np.zeros((0, KEY), np.uint8)
    return np.memmap(path, np.uint8, mode="r", shape=(size // KEY, KEY))


class Bucket:
    """The keys of a bucket.

    Args:
        keys: of a list, distinct.
        rows: which of them are in this bucket.

    Raises:
        RefusedError: `keys_repeated`, with one of the rows.
    """

    def __init__(self, keys: Bytes, rows: Rows) -> None:
        own = np.ascontiguousarray(keys[rows])
        high, low = _halves(own)
        if not _ascend(high, low):
            order = np.lexsort((low, high))
            own, rows, high, low = own[order], rows[order], high[order], low[order]
            same = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
            if same.any():
                raise RefusedError("keys_repeated", row=int(rows[int(np.argmax(same)) + 1]) + 1)
        self._keys, self._rows, self._high, self._low = own, rows, high, low

    def filled(self, room: int) -> Bytes:
        """Return the keys with random ones among them, in an order of its own."""
        extra = room - len(self._rows)
        drawn = np.frombuffer(os.urandom(KEY * extra), np.uint8).reshape(extra, KEY)
        seed = int.from_bytes(os.urandom(16), "big")
        order = np.random.default_rng(seed).permutation(room)
        return np.concatenate([self._keys, drawn])[order]

    def rows_of(self, found: Bytes) -> Rows:
        """Return the rows of keys, in ascending order of the keys: alike at all parties.

        Raises:
            RefusedError: `result_malformed` for a key that is not of this list: a random one that
                matches cannot be.
        """
        last = len(self._rows) - 1
        if last < 0 or not len(found):
            if len(found):
                raise RefusedError("result_malformed")
            return np.zeros(0, np.int64)
        high, low = _halves(found)
        order = np.argsort(high)  # searched for in their order, they are found in half the time
        high, low = high[order], low[order]
        at = np.minimum(np.searchsorted(self._high, high), last)
        while True:  # once, but for keys that begin with the same 64 bits
            on = (self._high[at] == high) & (self._low[at] < low) & (at < last)
            if not on.any():
                break
            at[on] += 1
        if ((self._high[at] != high) | (self._low[at] != low)).any():
            raise RefusedError("result_malformed")
        ordered: Rows = self._rows[np.sort(at)]
        return ordered


def _halves(keys: Bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    whole = keys.view(">u8").astype(np.uint64)
    return np.ascontiguousarray(whole[:, 0]), whole[:, 1] & _LOW


def _ascend(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> bool:
    """Tell whether keys ascend strictly, as an agent writes them."""
    after = (high[1:] > high[:-1]) | ((high[1:] == high[:-1]) & (low[1:] > low[:-1]))
    return bool(after.all())


def write_csv(path: Path, keys: Bytes) -> None:
    """Write keys as SPU reads them."""
    with path.open("wb") as file:
        file.write(_HEAD)
        for start in range(0, len(keys), _CHUNK):
            file.write(_lines(keys[start : start + _CHUNK]))


def _lines(keys: Bytes) -> Any:
    lines = np.empty((len(keys), _SPELT + 1), np.uint8)
    padded = np.zeros((len(keys), _WORD * 3 // 4), np.uint8)
    padded[:, :KEY] = keys
    words = b2a_base64(padded.data, newline=False)
    lines[:, :_SPELT] = np.frombuffer(words, np.uint8).reshape(-1, _WORD)[:, :_SPELT]
    lines[:, -1] = ord("\n")
    return lines.data


def read_csv(path: Path) -> Bytes:
    """Return the keys of a file that SPU wrote.

    Raises:
        RefusedError: `result_malformed`.
    """
    with path.open("rb") as file:
        file.readline(256)
        found = [_keys(lines) for lines in _chunks(file)]
    return np.concatenate([np.zeros((0, KEY), np.uint8), *found])


def _chunks(file: Any) -> Iterator[bytes]:
    first = file.readline(4096)
    lines = first
    while lines:
        yield lines
        lines = file.read(len(first) * _CHUNK)
        if len(lines) % len(first):
            raise RefusedError("result_malformed")


def _keys(lines: bytes) -> Bytes:
    """Return the keys of lines of one length, with or without quotes around them."""
    width = lines.index(b"\n") + 1 if b"\n" in lines else 0
    quote = (width - _SPELT - 1) // 2
    if width not in (_SPELT + 1, _SPELT + 3) or len(lines) % width:
        raise RefusedError("result_malformed")
    spelt = np.frombuffer(lines, np.uint8).reshape(-1, width)[:, quote : quote + _SPELT]
    words = np.hstack([spelt, np.broadcast_to(_REST, (len(spelt), len(_REST)))])
    try:
        whole = a2b_base64(words.tobytes(), strict_mode=True)
    except BinasciiError:
        raise RefusedError("result_malformed") from None
    keys = np.frombuffer(whole, np.uint8).reshape(len(spelt), -1)
    return np.ascontiguousarray(keys[:, :KEY])
