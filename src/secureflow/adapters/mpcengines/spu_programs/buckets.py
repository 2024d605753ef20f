"""Lists of keys cut into buckets that say nothing, and back.

A key is 16 bytes: a digest of what the parties join on, so keys are spread evenly. A key's bucket
is drawn from it and from the job, alike at all parties; a bucket is one run of the protocol, and
what has run need not run again in the next attempt.

Each bucket is filled up with random keys to a size that follows from the length of the list alone:

- How many keys a bucket holds would tell a little of which keys there are.
- SPU's `psi_execute` sends the other party the SHA-256 of all keys in plain before it starts
  (`check_hash_digest`, which it sets itself: psi v0.6, `launch.cc`, `interface.cc`). Whoever knows
  or guesses all keys of a short list could prove it by that, whatever the protocol hides. Random
  keys of 128 bits that nobody knows are among them, so the digest says nothing.

The order within a bucket is drawn anew each time.
"""

from __future__ import annotations

import math
import os
from binascii import b2a_base64
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
_DIGITS: Final = 10
_HEAD: Final = b"k,r\n"
_WORD: Final = 24
"""Characters of a key in base64, filled up to 18 bytes so that no padding is needed."""
_LINE: Final = _WORD + 1 + 1 + _DIGITS + 1
"""Bytes of a line: the key, a comma, `r` and the row, a line feed."""
_CHUNK: Final = 1 << 18
"""Rows that are spelled at once."""
_POWERS: Final = 10 ** np.arange(_DIGITS - 1, -1, -1, dtype=np.int64)

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


def filled(keys: Bytes, rows: Rows, room: int) -> tuple[Bytes, Rows]:
    """Return a bucket's keys with random ones among them, in an order of its own, and its rows.

    A random key's row is `NO_ROW`.

    Raises:
        RefusedError: `keys_repeated`, with one of the rows.
    """
    own = np.ascontiguousarray(keys[rows])
    _distinct(own, rows)
    extra = room - len(rows)
    drawn = np.frombuffer(os.urandom(KEY * extra), np.uint8).reshape(extra, KEY)
    seed = int.from_bytes(os.urandom(16), "big")
    order = np.random.default_rng(seed).permutation(room)
    padding = np.full(extra, NO_ROW, np.int64)
    return np.concatenate([own, drawn])[order], np.concatenate([rows, padding])[order]


NO_ROW: Final = 10**_DIGITS - 1
"""Stands where a random key is."""


def _distinct(keys: Bytes, rows: Rows) -> None:
    halves = keys.view(">u8").astype(np.uint64)
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    ordered = halves[order]
    same = (ordered[1:] == ordered[:-1]).all(axis=1)
    if same.any():
        raise RefusedError("keys_repeated", row=int(rows[order[int(np.argmax(same)) + 1]]) + 1)


def write_csv(path: Path, keys: Bytes, rows: Rows) -> None:
    """Write keys and rows as SPU reads them."""
    with path.open("wb") as file:
        file.write(_HEAD)
        for start in range(0, len(rows), _CHUNK):
            file.write(_lines(keys[start : start + _CHUNK], rows[start : start + _CHUNK]))


def _lines(keys: Bytes, rows: Rows) -> Any:
    lines = np.empty((len(rows), _LINE), np.uint8)
    padded = np.zeros((len(rows), _WORD * 3 // 4), np.uint8)
    padded[:, :KEY] = keys
    words = b2a_base64(padded.data, newline=False)
    lines[:, :_WORD] = np.frombuffer(words, np.uint8).reshape(-1, _WORD)
    lines[:, _WORD] = ord(",")
    lines[:, _WORD + 1] = ord("r")
    lines[:, _WORD + 2 : -1] = (rows[:, None] // _POWERS) % 10 + ord("0")
    lines[:, -1] = ord("\n")
    return lines.data


def read_csv(path: Path) -> Rows:
    """Return the rows of a file that SPU wrote, in its order, which is that of the keys.

    Raises:
        RefusedError: `result_malformed`.
    """
    with path.open("rb") as file:
        file.readline(256)
        found = [_rows(lines) for lines in _chunks(file)]
    return np.concatenate([np.zeros(0, np.int64), *found])


def _chunks(file: Any) -> Iterator[bytes]:
    first = file.readline(4096)
    lines = first
    while lines:
        yield lines
        lines = file.read(len(first) * _CHUNK)
        if len(lines) % len(first):
            raise RefusedError("result_malformed")


def _rows(lines: bytes) -> Rows:
    """Return the rows of lines of one length, with or without quotes around the cells."""
    width = lines.index(b"\n") + 1
    end = width - (2 if lines[width - 2 : width - 1] == b'"' else 1)
    digits = np.frombuffer(lines, np.uint8).reshape(-1, width)[:, end - _DIGITS : end]
    if ((digits < ord("0")) | (digits > ord("9"))).any():
        raise RefusedError("result_malformed")
    rows: Rows = (digits.astype(np.int64) - ord("0")) @ _POWERS
    if (rows == NO_ROW).any():
        raise RefusedError("result_malformed")
    return rows
