"""In the worker: a party's keys, and the result of an intersection.

A result is Parquet. Its rows are those of the reader's own file that match, in the file's order; a
join may add those of its own that do not, and at last those of the other party, without their keys.
Columns: the row's number (empty for rows of the other party), the reader's key and granted columns,
`matched` where a join has other rows too, and the other parties' granted columns.

Rows that have no key of their own (a cell is empty or malformed, or an earlier row has the same
key) are in no result.

The engine's matches are places in the list of keys, which is in ascending order at both sides: so
the n-th match of one party is the n-th of the other, and columns of a peer come without keys.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from secureflow.adapters.datasources import DataSource
from secureflow.adapters.datasources.keylists import Counted, KeyCounts, KeyList, write_key_list
from secureflow.agent.compute.psi_sums import COUNTS, ENGINE_KEY, FIRST, TOLD_FILE
from secureflow.agent.compute.psi_told import read_told, write_told
from secureflow.domain.specs.base import spec_digest
from secureflow.domain.specs.psi import MATCHED, ROW, PsiSide, PsiSpec
from secureflow.engines.psi.commitment import commit_keys
from secureflow.engines.psi.normalise import KEY_BYTES
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_GROUP: Final = 1 << 16
_ABOUT: Final = b"secureflow"
"""The key of the file's metadata: canonical JSON of the job and its spec's digest."""
_LEAST: Final = 1 << 16


@dataclass(frozen=True)
class _Theirs:
    """A peer's columns: first those of the rows that match, in the keys' order, then the others."""

    table: pa.Table
    matched: int


class PsiRows:
    """The rows of one party.

    Args:
        job: job id.
        spec: checked.
        source: of the owner's file.
    """

    def __init__(self, job: str, spec: PsiSpec, source: DataSource) -> None:
        self._job = job
        self._spec = spec
        self._source = source
        self._count: int | None = None
        self._listed: KeyList | None = None
        self._counts = KeyCounts()

    def write_keys(self, party: str, salt: bytes, result: Path) -> NDArray[np.int64]:
        """Write the keys for an engine; return counts, the commitment's bytes, and first rows.

        Raises:
            SecureFlowError: `invalid_spec`; those of the file's rows.
        """
        listed = self._keys(party)
        with result.open("wb") as file:
            for block in listed.digests():
                whole = np.frombuffer(block, np.uint8).reshape(-1, KEY_BYTES)
                file.write(np.ascontiguousarray(whole[:, :ENGINE_KEY]).tobytes())
        found = bytes.fromhex(commit_keys(salt, listed.count, listed.digests()))
        self._drop_keys()
        counts = self._counts
        malformed = _together(counts.malformed.values())
        odd = (counts.missing, malformed, counts.repeated)
        told = (counts.rows, counts.keys, *(one.count for one in odd))
        first = [row for one in odd for row in _padded(one.first)]
        assert len(told) == len(COUNTS)  # noqa: S101  the layout that the agent reads
        return np.array([*told, *found, *first], np.int64)

    def write_told(self, party: str, matches: Path, most: int, result: Path) -> NDArray[np.int64]:
        """Write the keys that all have, for the others; return how many there are."""
        places = self._places(party, matches)
        write_told(self._keys(party).digests(), places, most, result)
        return np.array([len(places)], np.int64)

    def count_told(self, party: str, matches: Path) -> NDArray[np.int64]:
        """Return how many keys the receiver tells that all have, each of them one of this party's.

        Raises:
            SecureFlowError: `peer_result_malformed`.
        """
        return np.array([len(self._places(party, matches))], np.int64)

    def write_shown(
        self, party: str, peer: str, matches: Path, result: Path
    ) -> NDArray[np.int64]:  # fmt: skip
        """Write the granted columns of rows that match, and of the others if a join has them.

        Returns:
            how many rows match, and how many are written.
        """
        side, places = self._spec.side(party), self._places(party, matches)
        rows = self._rows_at(places)
        if self._spec.shows_others(party, peer):
            rows = np.concatenate([rows, self._rows_at(self._unmatched(places))])
        columns = self._columns(side.granted, rows)
        matched = pa.array(np.arange(len(rows)) < len(places))
        table = pa.table({MATCHED: matched, **columns})
        with result.open("wb") as file:
            pq.write_table(table, file, row_group_size=_GROUP, compression="zstd")
        return np.array([len(places), len(rows)], np.int64)

    def write_result(
        self, party: str, matches: Path, theirs: Mapping[str, Path], result: Path
    ) -> NDArray[np.int64]:
        """Write the result; return how many rows it has, and how many of its reader's match.

        Args:
            party: its reader.
            matches: a folder with what matches.
            theirs: peer → the file of its columns.
            result: where it is written.

        Raises:
            SecureFlowError: `peer_result_malformed` for a peer's columns that are not as agreed.
        """
        side, places = self._spec.side(party), self._places(party, matches)
        peer = self._handed(party, theirs, len(places))
        about = {"job": self._job, "spec": spec_digest(self._spec), "party": party}
        schema = self._schema(side, peer).with_metadata({_ABOUT: canonical_bytes(about)})
        rows = 0
        with (
            result.open("wb") as file,
            pq.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            for table in self._result(side, places, peer):
                writer.write_table(table.cast(schema), row_group_size=_GROUP)
                rows += table.num_rows
        return np.array([rows, len(places)], np.int64)

    def write_selected(self, party: str, matches: Path, result: Path) -> NDArray[np.int64]:
        """Write the numbers of rows that match, in the keys' order; return how many there are."""
        rows = self._rows_at(self._places(party, matches))
        with result.open("wb") as file:
            rows.astype("<i8", copy=False).tofile(file)
        return np.array([len(rows)], np.int64)

    # --- keys ----------------------------------------------------------------------------------

    def _keys(self, party: str) -> KeyList:
        """Return the list with its keys; where they were not kept, it is made again."""
        if self._listed is None:
            self._listed = self._list(party)
        return self._listed

    def _drop_keys(self) -> None:
        """Give back the room of the keys, unless they are told or looked up at the end."""
        if self._listed is not None and not self._spec.tells_others:
            self._listed.drop_keys()
            self._listed = None

    def _list(self, party: str) -> KeyList:
        """List the keys of the file; the rows that they are of stay for the later steps."""
        side, folder = self._spec.side(party), self._folder
        blocks = self._source.blocks(side.key)
        cells = ([list(block[name]) for name in side.key] for block in blocks)
        self._counts = write_key_list(folder, self._spec.key, cells)
        self._count = self._counts.keys
        return KeyList.open(folder)

    def _length(self, party: str) -> int:
        """Return how many keys the list has; it is read again in another process than its own."""
        if self._count is None:
            self._keys(party)
            self._drop_keys()
        assert self._count is not None  # noqa: S101  `_list` says it
        return self._count

    @cached_property
    def _folder(self) -> Path:
        """The folder of the list, in the worker's own scratch; it goes with the process."""
        made = Path(tempfile.mkdtemp(prefix="psi-"))
        self._scratch = _Removed(made)
        return made

    def _places(self, party: str, matches: Path) -> NDArray[np.int64]:
        """Return the places of keys that all others have, in ascending order.

        Raises:
            SecureFlowError: `engine_output_refused` for what is no list of places; those of
                `read_told`.
        """
        count = self._length(party)
        common: NDArray[np.int64] | None = None
        told = matches / f"{self._spec.receiver}.{TOLD_FILE}"
        if self._spec.tells_others and party != self._spec.receiver:
            return read_told(told, self._keys(party).digests(), self._spec.receiver)
        for peer in self._spec.partners(party):
            found = _read_places(matches / f"{peer}.npy", count)
            common = found if common is None else np.intersect1d(common, found, assume_unique=True)
        return np.empty(0, np.int64) if common is None else common

    def _rows_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of keys by their places."""
        return self._all_rows[places]

    @cached_property
    def _all_rows(self) -> NDArray[np.int64]:
        return np.fromfile(self._folder / "rows.bin", "<i8")

    def _unmatched(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        left = np.ones(len(self._all_rows), np.bool_)
        left[places] = False
        return np.flatnonzero(left)

    # --- columns and rows ----------------------------------------------------------------------

    def _columns(self, names: Sequence[str], rows: NDArray[np.int64]) -> dict[str, pa.Array]:
        """Return columns of rows in this order; one pass over the file, in its order."""
        if not names:
            return {}
        order = np.argsort(rows, kind="stable")
        ascending, parts = rows[order], []
        for start, block in self._blocks(names):
            length = len(next(iter(block.values())))
            low, high = np.searchsorted(ascending, [start, start + length])
            at = ascending[low:high] - start
            parts.append(pa.table({name: _own(block[name][at]) for name in names}))
        back = np.empty(len(rows), np.int64)
        back[order] = np.arange(len(rows))
        table = pa.concat_tables(parts).take(pa.array(back))
        return {name: table.column(name).combine_chunks() for name in names}

    def _blocks(self, names: Sequence[str]) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
        start = 0
        for block in self._source.blocks(names):
            yield start, block
            start += len(next(iter(block.values())))

    def _result(
        self, side: PsiSide, places: NDArray[np.int64], peer: _Theirs | None
    ) -> Iterator[pa.Table]:
        """Yield the result in pieces: rows of the own file in its order, then those of the peer."""
        rows = self._rows_at(places)
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        others = np.empty(0, np.int64)
        if self._spec.shows_others(side.party, side.party):
            others = np.sort(self._rows_at(self._unmatched(places)))
        if self._spec.join == "difference":
            ascending, order = np.empty(0, np.int64), np.empty(0, np.int64)
        for start, block in self._blocks(side.columns):
            stop = start + len(next(iter(block.values())))
            low, high = np.searchsorted(ascending, [start, stop])
            own, at = ascending[low:high], order[low:high]
            left = others[slice(*np.searchsorted(others, [start, stop]))]
            yield self._piece(side, block, start, own, left, at, peer)
        if peer is not None and peer.table.num_rows > peer.matched:
            yield self._of_peer(side, peer)

    def _piece(
        self,
        side: PsiSide,
        block: dict[str, NDArray[Any]],
        start: int,
        own: NDArray[np.int64],
        left: NDArray[np.int64],
        at: NDArray[np.int64],
        peer: _Theirs | None,
    ) -> pa.Table:
        """Return the rows of a block: those that match (`own`), and those that do not (`left`)."""
        rows = np.concatenate([own, left])
        order = np.argsort(rows, kind="stable")
        rows, matched = rows[order], (np.arange(len(rows)) < len(own))[order]
        arrays: dict[str, pa.Array] = {ROW: pa.array(rows + 1)}
        arrays |= {name: _own(block[name][rows - start]) for name in side.columns}
        if self._tells_matched(side.party):
            arrays[MATCHED] = pa.array(matched)
        if peer is not None:
            padded = np.concatenate([at, np.zeros(len(left), np.int64)])[order]
            places = pa.array(padded, mask=~matched)
            found = peer.table.take(places)
            arrays |= {name: found.column(name).combine_chunks() for name in found.column_names}
        return pa.table(arrays)

    def _of_peer(self, side: PsiSide, peer: _Theirs) -> pa.Table:
        """Return the peer's rows that do not match: its columns, and none of the reader's."""
        table = peer.table.slice(peer.matched)
        count = table.num_rows
        schema = self._schema(side, peer)
        nulls = {one.name: pa.nulls(count, one.type) for one in schema}
        nulls[MATCHED] = pa.array(np.zeros(count, np.bool_))
        theirs = {name: table.column(name).combine_chunks() for name in table.column_names}
        return pa.table({**nulls, **theirs})

    def _tells_matched(self, party: str) -> bool:
        """Tell whether a party's result has rows of several sorts."""
        if self._spec.join in {"inner", "difference"}:
            return False
        return any(self._spec.shows_others(one, party) for one in self._spec.parties)

    def _schema(self, side: PsiSide, peer: _Theirs | None) -> pa.Schema:
        """Return the columns of a party's result, with the types that its own file has."""
        for _, block in self._blocks(side.columns):
            own = [(name, _own(block[name][:0]).type) for name in side.columns]
            break
        else:
            own = [(name, pa.string()) for name in side.columns]
        matched = [(MATCHED, pa.bool_())] if self._tells_matched(side.party) else []
        theirs = [] if peer is None else [(one.name, one.type) for one in peer.table.schema]
        return pa.schema([(ROW, pa.int64()), *own, *matched, *theirs])

    def _handed(
        self, party: str, theirs: Mapping[str, Path], matched: int
    ) -> _Theirs | None:  # fmt: skip
        """Return the columns of all peers side by side: of several only rows that match."""
        found = [
            self._theirs(party, peer, theirs[peer], matched)
            for peer in self._spec.others(party)
            if peer in theirs
        ]
        if len(found) < 2:
            return found[0] if found else None
        columns = {name: one.table.column(name) for one in found for name in one.table.column_names}
        return _Theirs(pa.table(columns), matched)

    def _theirs(self, party: str, peer: str, path: Path, matched: int) -> _Theirs:
        """Return a peer's columns, which are foreign: read here, in the worker, and checked.

        Raises:
            SecureFlowError: `peer_result_malformed`.
        """
        granted = self._spec.side(peer).granted
        with path.open("rb") as opened:  # where it is not there, that is nothing of the peer's
            try:
                with pq.ParquetFile(opened, memory_map=False) as file:
                    names, count = tuple(file.schema_arrow.names), file.metadata.num_rows
                    most = self._spec.side(peer).most_rows
                    if names != (MATCHED, *granted) or not matched <= count <= most:
                        raise _malformed(peer)
                    table = file.read(use_threads=False)
            except (pa.ArrowException, OSError, ValueError):
                raise _malformed(peer) from None
        flags = table.column(MATCHED).combine_chunks()
        sorts = (pa.types.is_string, pa.types.is_float64)
        known = all(any(sort(one.type) for sort in sorts) for one in table.drop([MATCHED]).schema)
        if not known or not pa.types.is_boolean(flags.type) or flags.null_count:
            raise _malformed(peer)
        said = flags.to_numpy(zero_copy_only=False)
        if not (said == (np.arange(count) < matched)).all():
            raise _malformed(peer)
        if count > matched and not self._spec.shows_others(peer, party):
            raise _malformed(peer)
        return _Theirs(table.drop([MATCHED]), matched)


class _Removed:
    """Removes a folder when nobody holds this any more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __del__(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _read_places(path: Path, count: int) -> NDArray[np.int64]:
    """Return an engine's matches: different places in a list of so many keys, ascending.

    Raises:
        SecureFlowError: `engine_output_refused`.
    """
    found: Any = None
    with suppress(OSError, ValueError, EOFError):
        if path.stat().st_size <= 8 * count + _LEAST:
            found = np.load(path, allow_pickle=False)
    sound = isinstance(found, np.ndarray) and found.dtype == np.int64 and found.ndim == 1
    if not sound or len(found) > count:
        raise _no_places()
    places = np.sort(found)
    if len(places) and not (0 <= places[0] <= places[-1] < count and (np.diff(places) > 0).all()):
        raise _no_places()
    return places


def _no_places() -> SecureFlowError:
    return SecureFlowError(
        "engine_output_refused",
        "What the engine says of matching keys is no list of places in the list of keys.",
        "The next attempt runs it again; if this happens again, report it.",
    )


def _malformed(peer: str) -> SecureFlowError:
    return SecureFlowError(
        "peer_result_malformed",
        Text("The columns that {peer} handed over are not those that the job names.", peer=peer),
        Text("The agent of {peer} is faulty or of another version: ask it.", peer=peer),
    )


def _own(values: NDArray[Any]) -> pa.Array:
    """Return an owner's column as it was read: numbers (NaN is missing), or texts."""
    if values.dtype.kind == "f":
        return pa.array(values, pa.float64(), from_pandas=True)
    return pa.array(values, pa.string())


def _together(several: Any) -> Counted:
    """Return counts of several columns as one."""
    whole = Counted()
    for one in several:
        whole.count += one.count
        whole.first = sorted({*whole.first, *one.first})[:FIRST]
    return whole


def _padded(first: Sequence[int]) -> list[int]:
    return [*first[:FIRST], *([0] * (FIRST - len(first)))]
