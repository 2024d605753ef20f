"""The file of a keeper: lines that are only appended, each with the hash of the line before.

A line is on disk before anything is answered about it, and then the agent's record says how far the
file goes. So a killed keeper leaves at most a line that nobody was answered (it counts: the sender
asks for it again) or a piece of one, which is cut off; and a file that is shorter or other than the
record says was set back, or is another one: then the keeper keeps nothing until it is put back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from secureflow.agent.record.anchorplace import REACHED
from secureflow.agent.record.store import RecordStore
from secureflow.engines.anchors.filed import MAX_LINES, MAX_TRANSACTION, line_bytes, line_hash
from secureflow.kit.atomic import flush_directory
from secureflow.kit.canonical import JSON, parse_json
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_LINE: Final = MAX_TRANSACTION + (64 << 10)


class AnchorLines:
    """The lines of a file, to look at: nothing is changed.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ends: list[int] = [0]
        self._hashes: list[str] = [""]

    def look(self, reached: JSON) -> Iterator[dict[str, Any]]:
        """Check the whole file, and return its lines in order; the keeper may be running.

        Args:
            reached: how far it goes by the agent's record, which was read before; None if it
                says nothing.

        Raises:
            SecureFlowError: `anchor_file_damaged`, `anchor_file_set_back`.
            OSError: it cannot be read.
        """
        if not self._path.exists():
            raise _set_back(self._path)
        with self._path.open("rb") as file:
            while (data := file.readline(MAX_LINE + 1)).endswith(b"\n"):
                yield self._checked(data)
        if data[MAX_LINE:]:
            raise _damaged(self._path, self.lines + 1)
        self._check_reached(reached)

    @property
    def lines(self) -> int:
        """How many lines there are."""
        return len(self._ends) - 1

    @property
    def hash(self) -> str:
        """The hash of the last line; empty if there is none."""
        return self._hashes[-1]

    def hash_of(self, number: int) -> str:
        """Return the hash of a line, from 1; empty for 0."""
        return self._hashes[number]

    def forget(self) -> None:
        """Know nothing of the file, until it is read again."""
        self._ends, self._hashes = [0], [""]

    def _checked(self, data: bytes) -> dict[str, Any]:
        number = self.lines + 1
        try:
            line = parse_json(data, MAX_LINE)
        except SecureFlowError as error:
            raise _damaged(self._path, number) from error
        chained = isinstance(line, dict) and line.get("prev") == self.hash
        if not chained or line.get("line") != number or line_bytes(line) != data:
            raise _damaged(self._path, number)
        self._add(data)
        found: dict[str, Any] = line
        return found

    def _add(self, data: bytes) -> None:
        self._ends.append(self._ends[-1] + len(data))
        self._hashes.append(line_hash(data))

    def _check_reached(self, reached: JSON) -> None:
        if reached is None:
            return
        lines = int(reached["lines"])
        if self.lines < lines or self._hashes[lines] != reached["hash"]:
            raise _set_back(self._path)


class AnchorFile(AnchorLines):
    """The file of one process. Its methods block for the disk, and are called one at a time.

    Args:
        path: of the file.
        store: the agent's record.
    """

    def __init__(self, path: Path, store: RecordStore) -> None:
        super().__init__(path)
        self._store = store

    def read(self) -> Iterator[dict[str, Any]]:
        """Check the whole file, mend its end, and return its lines in order.

        Raises:
            SecureFlowError: `anchor_file_damaged`, `anchor_file_set_back`.
        """
        with writing(Place(self._path.parent, "own files")):
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            with os.fdopen(handle, "rb+") as file:
                while data := file.readline(MAX_LINE + 1):
                    if len(data) > MAX_LINE:
                        raise _damaged(self._path, self.lines + 1)
                    if not data.endswith(b"\n"):
                        file.truncate(self._ends[-1])
                        os.fsync(file.fileno())
                        break
                    yield self._checked(data)
            flush_directory(self._path.parent)
        self._check_reached(self._store.fact(REACHED))

    def append(self, line: Mapping[str, JSON]) -> str:
        """Append a line with its number and the hash before it; return its hash. Durable then.

        Raises:
            InfrastructureError: `disk_full`, `disk_failed`; nothing was appended.
            SecureFlowError: `anchor_file_full`, `anchor_file_set_back`.
        """
        if self.lines >= MAX_LINES:
            raise SecureFlowError(
                "anchor_file_full",
                "The keeper's file has as many lines as it may have.",
                "Continue at another place: the members vote for its successor.",
            )
        data = line_bytes({**line, "line": self.lines + 1, "prev": self.hash})
        with writing(Place(self._path.parent, "own files")):
            self._write(data)
        self._add(data)
        with self._store.transaction():
            self._store.set_fact(REACHED, {"lines": self.lines, "hash": self.hash})
        return self.hash

    def line(self, number: int) -> dict[str, Any]:
        """Return a line, from 1."""
        begin, end = self._ends[number - 1], self._ends[number]
        with writing(Place(self._path.parent, "own files")), self._path.open("rb") as file:
            file.seek(begin)
            data = file.read(end - begin)
        if line_hash(data) != self._hashes[number]:
            raise _damaged(self._path, number)
        found: dict[str, Any] = parse_json(data, MAX_LINE)
        return found

    def _write(self, data: bytes) -> None:
        end = self._ends[-1]
        handle = os.open(self._path, os.O_RDWR)  # no O_CREAT: a file that is gone is noticed
        try:
            if os.fstat(handle).st_size != end:
                raise _set_back(self._path)
            try:
                written = 0
                while written < len(data):
                    written += os.pwrite(handle, data[written:], end + written)
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, end)
                raise
        finally:
            os.close(handle)


def _damaged(path: Path, number: int) -> SecureFlowError:
    return SecureFlowError(
        "anchor_file_damaged",
        Text("The keeper's file {path} is damaged at line {number}.", path=path, number=number),
        "Put a copy of it back; it keeps nothing until then. Senders hold their receipts.",
    )


def _set_back(path: Path) -> SecureFlowError:
    return SecureFlowError(
        "anchor_file_set_back",
        Text(
            "The keeper's file {path} is older than the agent's record, or another one.", path=path
        ),
        "Put the newest one back; it keeps nothing until then. Senders hold their receipts.",
    )
