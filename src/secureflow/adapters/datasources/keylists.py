"""A party's list of keys on disk: each key once, in ascending order, with the row that it is of.

A folder with two aligned files: `keys.bin` (`KEY_BYTES` each) and `rows.bin` (int64, little-endian:
the row's index in the dataset). Their order is that of the keys, so two parties that keep the rows
of the same keys keep them in the same order. Of rows with one key the first counts.

However many rows there are, memory holds a block of them and 1/64 of their keys: blocks are
spooled by the first bits of their keys, and each of these parts is sorted by itself (a distribution
sort; Knuth, TAOCP 3, 5.4). The spool takes 32 bytes a row, and gives them back part by part.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.keyrules import KeyRules
from secureflow.engines.psi.normalise import KEY_BYTES, Cells, digest_rows
from secureflow.kit.errors import SecureFlowError

Words = NDArray[np.uint64]
"""Keys as numbers, (n, 3), or with their rows, (n, 4)."""

FIRST: Final = 10
"""Rows that are named of each thing that is counted."""
_KEYS: Final = "keys.bin"
_ROWS: Final = "rows.bin"
_BITS: Final = 6
_PARTS: Final = 1 << _BITS
_AT_ONCE: Final = 1 << 16
"""Keys that are read or written at a time."""
_CHARACTERS: Final = 32
"""Of a key in base64 (RFC 4648, section 5)."""


@dataclass
class Counted:
    """How many rows something is said of, and the numbers of the first ones, from 1."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, rows: Sequence[int] | NDArray[Any]) -> None:
        """Count rows, given their indexes."""
        self.count += len(rows)
        least = np.sort(np.asarray(rows, np.int64))[:FIRST] + 1
        self.first = sorted([*self.first, *least.tolist()])[:FIRST]

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"rows": self.count, "first": list(self.first)}


@dataclass
class KeyCounts:
    """What became of a dataset's rows.

    Args:
        rows: how many there are.
        keys: how many different keys they have.
        missing: rows of which a column of the key is empty.
        malformed: rows of which a cell does not fit its rule, by the column of the key (from 0).
        repeated: rows whose key an earlier row has.
    """

    rows: int = 0
    keys: int = 0
    missing: Counted = field(default_factory=Counted)
    malformed: dict[int, Counted] = field(default_factory=dict)
    repeated: Counted = field(default_factory=Counted)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form: numbers of rows, and nothing that stands in them."""
        return {
            "rows": self.rows,
            "keys": self.keys,
            "missing": self.missing.as_json(),
            "malformed": {str(at): one.as_json() for at, one in sorted(self.malformed.items())},
            "repeated": self.repeated.as_json(),
        }


def write_key_list(folder: Path, rules: KeyRules, blocks: Iterable[Sequence[Cells]]) -> KeyCounts:
    """Write the list of the keys of rows.

    Args:
        folder: exists; files of an earlier list in it are replaced.
        rules: of the job.
        blocks: the rows in their order, in blocks; of each the cells of every column of the key.

    Raises:
        SecureFlowError: `invalid_spec`, and what the blocks raise.
        OSError: a file cannot be written.
    """
    counts = KeyCounts()
    with ExitStack() as stack:
        spool = _Spool(folder, stack)
        for columns in blocks:
            _count(spool, counts, rules, columns)
        _sort(spool, counts, folder)
    return counts


def _count(spool: _Spool, counts: KeyCounts, rules: KeyRules, columns: Sequence[Cells]) -> None:
    """Spool the keys of a block of rows, and count those that have none."""
    start = counts.rows
    found = digest_rows(rules, columns)
    counts.rows += len(columns[0])
    counts.missing.add(start + np.array(found.missing, np.int64))
    for part in sorted({part for _, part in found.malformed}):
        rows = [start + row for row, of in found.malformed if of == part]
        counts.malformed.setdefault(part, Counted()).add(rows)
    spool.add(_words(found.keys), start + np.array(found.rows, np.int64))


def _sort(spool: _Spool, counts: KeyCounts, folder: Path) -> None:
    """Write the files from the spool."""
    with (folder / _KEYS).open("wb") as keys, (folder / _ROWS).open("wb") as rows:
        for number in range(_PARTS):
            part = _sorted(spool.taken(number))
            new = np.ones(len(part), np.bool_)
            new[1:] = (part[1:, :3] != part[:-1, :3]).any(axis=1)
            counts.repeated.add(part[~new, 3])
            kept = part[new]
            keys.write(kept[:, :3].astype(">u8").tobytes())
            rows.write(kept[:, 3].astype("<i8").tobytes())
            counts.keys += len(kept)
        for file in (keys, rows):
            file.flush()
            os.fsync(file.fileno())


def _sorted(part: Words) -> Words:
    """Return keys with their rows in ascending order.

    Few begin with the same 64 bits: those alone are compared as a whole.
    """
    part = part[np.argsort(part[:, 0])]
    same = part[1:, 0] == part[:-1, 0]
    if not same.any():
        return part
    tied = np.flatnonzero(np.concatenate([same, [False]]) | np.concatenate([[False], same]))
    few = part[tied]
    part[tied] = few[np.lexsort((few[:, 3], few[:, 2], few[:, 1], few[:, 0]))]
    return part


class _Spool:
    """Keys with their rows by the first bits of their keys: a file of each, which has no name."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        files = (TemporaryFile(dir=folder) for _ in range(_PARTS))  # noqa: SIM115  the stack does
        self._files = [stack.enter_context(one) for one in files]

    def add(self, keys: Words, rows: NDArray[np.int64]) -> None:
        """Add a block."""
        lead = (keys[:, 0] >> np.uint64(64 - _BITS)).astype(np.uint8)  # sorted by counting
        block = np.column_stack([keys, rows.astype(np.uint64)])
        block = block[np.argsort(lead, kind="stable")]
        start = 0
        for number, many in enumerate(np.bincount(lead, minlength=_PARTS).tolist()):
            self._files[number].write(block[start : start + many].tobytes())
            start += many

    def taken(self, number: int) -> Words:
        """Return every key that begins with these bits, with its row: (n, 4); nothing is kept."""
        with self._files[number] as file:
            file.seek(0)
            return np.frombuffer(file.read(), np.uint64).reshape(-1, 4)


@dataclass(frozen=True)
class KeyList:
    """A list that `write_key_list` wrote.

    Args:
        folder: of its files.
        count: its keys.
    """

    folder: Path
    count: int

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a list.

        Raises:
            SecureFlowError: `invalid_file` for files that do not belong together.
        """
        try:
            keys, rows = ((folder / name).stat().st_size for name in (_KEYS, _ROWS))
        except OSError:
            keys, rows = 0, -1
        count = keys // KEY_BYTES
        if (keys, rows) != (count * KEY_BYTES, count * 8):
            raise _invalid("The files of a list of keys do not belong together.")
        return cls(folder, count)

    def drop_keys(self) -> None:
        """Remove the keys, and keep of which rows they are."""
        (self.folder / _KEYS).unlink()

    def digests(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the keys in blocks, `KEY_BYTES` each, in ascending order."""
        with (self.folder / _KEYS).open("rb") as file:
            file.seek(start * KEY_BYTES)
            left = (self.count if stop is None else stop) - start
            while left > 0:
                data = file.read(min(left, _AT_ONCE) * KEY_BYTES)
                if not data or len(data) % KEY_BYTES:
                    raise _invalid("A list of keys is shorter than it was.")
                yield data
                left -= len(data) // KEY_BYTES

    def write_csv(
        self, path: Path, start: int = 0, stop: int | None = None, *, title: str = "key"
    ) -> None:
        """Write the keys as an engine reads them: a header, then one of 32 characters a line."""
        with path.open("xb") as file:
            file.write(f"{title}\n".encode())
            for data in self.digests(start, stop):
                file.write(_lines(data))

    def bounds(self, buckets: int) -> list[int]:
        """Return where each of so many buckets begins, and the end.

        A key's bucket depends on the key alone, so both sides have it in the same one.

        Args:
            buckets: a power of two, 65536 at most.
        """
        if buckets.bit_count() != 1 or buckets > 1 << 16:
            raise ValueError(f"{buckets} is no power of two up to 65536")
        if buckets == 1:
            return [0, self.count]
        width = 64 - (buckets.bit_length() - 1)
        starts = np.array([at << width for at in range(buckets)], np.uint64)
        return [*np.searchsorted(self._leads, starts).tolist(), self.count]

    def rows_of(self, keys: Iterable[str]) -> NDArray[np.int64]:
        """Return the rows of keys that an engine names, in the order of the keys in the list.

        Raises:
            SecureFlowError: `invalid_file` for what is no key of the list, or twice there.
        """
        wanted = _from_texts(list(keys))
        if not self.count or not len(wanted):
            if len(wanted):
                raise _not_listed()
            return np.empty(0, np.int64)
        at = self._places(wanted)
        places = np.unique(at)
        if (self._stored[at] != wanted).any() or len(places) != len(at):
            raise _not_listed()
        return np.array(np.memmap(self.folder / _ROWS, "<i8", "r")[places], np.int64)

    def _places(self, wanted: Words) -> NDArray[np.int64]:
        """Return where each key stands, if it is listed; else any place."""
        at = np.minimum(np.searchsorted(self._leads, wanted[:, 0]), self.count - 1)
        while True:  # once, but for keys that begin with the same 64 bits
            on = (self._stored[at] != wanted).any(axis=1) & (at + 1 < self.count)
            on[on] = self._leads[at[on] + 1] == wanted[on, 0]
            if not on.any():
                return at
            at[on] += 1

    @cached_property
    def _stored(self) -> NDArray[Any]:
        if not self.count:
            return np.empty((0, 3), ">u8")  # an empty file cannot be mapped
        return np.memmap(self.folder / _KEYS, ">u8", "r").reshape(-1, 3)

    @cached_property
    def _leads(self) -> Words:
        """The first 64 bits of each key; a map of the file would count as memory as a whole."""
        leads = np.empty(self.count, np.uint64)
        at = 0
        for data in self.digests():
            words = _words(data)
            leads[at : at + len(words)] = words[:, 0]
            at += len(words)
        return leads


def _words(keys: bytes) -> Words:
    return np.frombuffer(keys, ">u8").reshape(-1, 3).astype(np.uint64)


def _lines(keys: bytes) -> bytes:
    """Return keys as lines of base64: 24 bytes are 32 characters, so one call encodes them all."""
    texts = np.frombuffer(base64.urlsafe_b64encode(keys), np.uint8).reshape(-1, _CHARACTERS)
    ends = np.full((len(texts), 1), ord("\n"), np.uint8)
    return np.hstack([texts, ends]).tobytes()


def _from_texts(texts: Sequence[str]) -> Words:
    if any(len(one) != _CHARACTERS for one in texts):
        raise _invalid("An engine names a key that is none.")
    try:
        whole = base64.b64decode("".join(texts).encode("ascii"), b"-_", validate=True)
    except (binascii.Error, UnicodeError):
        raise _invalid("An engine names a key that is none.") from None
    if len(whole) != len(texts) * KEY_BYTES:
        raise _invalid("An engine names a key that is none.")
    return _words(whole)


def _not_listed() -> SecureFlowError:
    return _invalid("An engine names a key that is not in the list, or one twice.")


def _invalid(message: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_file", message, "Run the job again; if this happens again, report it."
    )
