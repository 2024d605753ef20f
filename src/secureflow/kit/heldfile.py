"""A SQLite file that a process has open must stay in place, or later writes are lost.

A process does not notice that its open file was removed or replaced: what it writes from then on is
gone when it ends, and a new connection opens whatever is there now. Only names and inodes are
compared: opening and closing the file would drop the process's locks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from secureflow.kit.atomic import flush_directory
from secureflow.kit.disk import Place
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

CODE: Final = "record_replaced"
RECOVERED: Final = ".recovered"
Save = Callable[[sqlite3.Connection], Awaitable[object]]
"""Copies, into the connection, the file that the process still has open, while nobody writes."""

_log = get_logger(__name__)


class HeldFile:
    """The file of a record, while a process runs on it.

    Args:
        path: of a SQLite file; None if the record is elsewhere and nothing is checked.
        error: the class to raise; `InfrastructureError` if the caller should wait.
    """

    def __init__(self, path: Path | None, error: type[SecureFlowError]) -> None:
        self._path = None if path is None else path.absolute()
        self._name = str(self._path)
        self._error = error
        self._known: tuple[int, int] | None = None
        self._size = 0
        self._told: set[str] = set()
        self._saved = False

    @property
    def path(self) -> Path | None:
        """Where it is; None if the record is not a file on this machine."""
        return self._path

    def hold(self) -> None:
        """Remember the file that is there now as the one that this process has opened.

        Raises:
            OSError: there is no file.
        """
        if self._path is not None:
            self._known = _inode(self._path.stat())

    @property
    def uri(self) -> str | None:
        """The URI for SQLite: once the file is held, none is created there."""
        if self._path is None:
            return None
        return f"file:{quote(str(self._path))}?mode={'rwc' if self._known is None else 'rw'}"

    @property
    def fault(self) -> SecureFlowError | None:
        """Why nothing may be written now; this clears if the very same file is put back."""
        if self._path is None or self._known is None:
            return None
        try:
            found = os.stat(self._name)  # noqa: PTH116  before each transaction: twice as fast
        except OSError:
            return self._replaced()
        if _inode(found) != self._known or not found.st_size:
            return self._replaced()
        self._size = found.st_size
        return None

    def check(self) -> None:
        """Refuse to continue if the file there is another one.

        Raises:
            SecureFlowError: `record_replaced`.
        """
        if (fault := self.fault) is not None:
            raise fault

    async def lost(self, save: Save) -> bool:
        """Tell whether the file is gone from its place; if so, save a copy next to it, once."""
        path, fault = self._path, self.fault
        if path is None or fault is None:
            if self._told:
                _log.warning("record_back", file=str(path))
                self._told.clear()
                self._saved = False
            return False
        self._log_once(CODE, message=fault.message, file=str(path), pid=os.getpid())
        if not self._saved:
            try:
                copy = await self._save_copy(path, save)
            except (SecureFlowError, OSError, sqlite3.Error) as error:
                self._log_once(
                    "record_unsaved",
                    reason=str(error),
                    hint="Do not stop this process: what it recorded is nowhere else. It tries "
                    f"again every second; it needs {self._size} bytes in {path.parent}.",
                )
            else:
                self._saved = True
                self._log_once("record_recovered", file=str(copy), hint=restore_command(path, copy))
        return True

    async def _save_copy(self, path: Path, save: Save) -> Path:
        Place(path.parent, "own record").demand(self._size)
        handle, name = tempfile.mkstemp(".tmp", f"{path.name}.", path.parent)
        os.close(handle)
        try:
            with closing(sqlite3.connect(name, check_same_thread=False)) as target:
                await save(target)
                await asyncio.to_thread(_check_intact, target)
            return _linked(Path(name), path)
        finally:
            _removed(name)

    def _log_once(self, event: str, **facts: object) -> None:
        if event not in self._told:
            self._told.add(event)
            _log.error(event, **facts)

    def _replaced(self) -> SecureFlowError:
        return self._error(
            CODE,
            "The file of the record was removed or replaced while its process runs: nothing is "
            "recorded any more, and nothing is read from what is there now.",
            "The log of the process names the copy of its record that it has saved "
            "next to that file. Then stop it, put the copy in the file's place and "
            "start it again (docs/deploy.md).",
        )


def recovered_hint(path: Path | None) -> str:
    """Return how to restore the newest such copy next to a record; "" if there is none."""
    if path is None or not path.parent.is_dir():
        return ""
    there = path.parent.iterdir()
    found = [one for one in there if one.name.startswith(f"{path.name}{RECOVERED}")]
    copy = max(found, key=lambda one: one.stat().st_mtime_ns, default=None)
    return "" if copy is None else restore_command(path, copy)


def restore_command(path: Path, copy: Path) -> str:
    """Return the command that restores such a copy."""
    return Text(
        "Stop the process; remove {path}-wal and {path}-shm if they are there; mv "
        "{copy} {path}; then start it again.",
        path=path,
        copy=copy,
    )


def _check_intact(copy: sqlite3.Connection) -> None:
    """Refuse a copy of a file that was emptied or overwritten in place."""
    (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    (tables,) = copy.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if verdict != "ok" or not tables:
        reason = "what the process has open is damaged"
        raise sqlite3.DatabaseError(reason)


def _removed(name: str) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(OSError):
            Path(name + suffix).unlink()


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _linked(made: Path, path: Path) -> Path:
    """Give a complete copy its name; an existing file of that name stays."""
    number = 1
    while True:
        copy = path.with_name(f"{path.name}{RECOVERED}{f'-{number}' if number > 1 else ''}")
        try:
            os.link(made, copy)
        except FileExistsError:
            number += 1
            continue
        flush_directory(path.parent)
        return copy
