"""The file of the agent's record: transactions, and their behaviour on a full disk.

A transaction that finds the disk full releases the reserve (`kit.diskreserve`) and is repeated.
Other faults of the disk are an `InfrastructureError` (`kit.disk`), on reads and writes.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from secureflow.agent.record.damage import damaged, decoded, typed_damage
from secureflow.agent.record.schema import MIGRATIONS, check_columns
from secureflow.kit.disk import FAILED, FULL, Place, fault_of, is_full, writing
from secureflow.kit.diskreserve import DiskReserve
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.heldfile import HeldFile
from secureflow.kit.oserrors import reason_of
from secureflow.kit.plain import shown
from secureflow.kit.privatefiles import keep_private
from secureflow.kit.text import Text


class RecordFile:
    """One SQLite file. Thread-safe: one connection, one lock.

    Args:
        path: the file.
        reserve: disk space reserved for it; none by default.

    Raises:
        SecureFlowError: `store_unreadable`, `store_too_new` for a file of a later version,
            `record_damaged`, which every method raises on damage.
        InfrastructureError: `disk_full`, `disk_failed`, `database_busy`.
    """

    def __init__(self, path: Path, reserve: DiskReserve | None = None) -> None:
        self._lock = threading.RLock()
        self.held = HeldFile(path, SecureFlowError)
        """The opened file: if it is no longer at its path, nothing more may be committed."""
        self._path = path
        self._undo: list[Callable[[], object]] = []
        self._done: list[tuple[str, tuple[Any, ...]]] = []
        self._place = Place(path.parent, "own record")
        self.reserve = reserve or DiskReserve(path.with_name("agent.reserve"), 0)
        """The reserve for a full disk."""
        before = self.reserve.releases
        with writing(self._place):
            try:
                self._open(path)
            except (OSError, sqlite3.Error) as error:
                known = fault_of(error, self._place)
                if known is None or known.code != FULL or not self.reserve.make_room(before):
                    raise
                self._open(path)

    def _open(self, path: Path) -> None:
        try:
            keep_private(path)
            with typed_damage(path):
                self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                self._db.row_factory = sqlite3.Row
                self._db.text_factory = decoded
                for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                    self._db.execute(f"PRAGMA {pragma}")
                self._migrate(path)
            self.held.hold()
        except (OSError, sqlite3.DatabaseError) as error:
            known = fault_of(error, self._place)
            if known is not None and known.code != FAILED:
                raise
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            raise SecureFlowError(
                "store_unreadable",
                Text(
                    "The agent's record {path} cannot be opened: {error}.", path=path, error=reason
                ),
                "Check the directory's owner and free space; never delete the record: it holds "
                "this organisation's votes.",
            ) from error

    def close(self) -> None:
        """Close the file; everything is then in it, and nothing in its write-ahead log."""
        with self._lock:
            self._db.close()

    async def lost(self) -> bool:
        """Return whether the file is gone from its path; its open content is saved next to it."""

        async def save(target: sqlite3.Connection) -> None:
            await asyncio.to_thread(self._save, target)

        return await self.held.lost(save)

    def _save(self, target: sqlite3.Connection) -> None:
        with self._lock:
            self._db.backup(target)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything in the block at once, or nothing.

        Raises:
            SecureFlowError: `record_replaced`: what would be committed here would be lost.
        """
        with self._lock, writing(self._place), typed_damage(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self.held.check()
                yield
                self._do("COMMIT")
            except BaseException:  # whatever the error, half a change must not stay
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                for undo in self._undo:
                    undo()
                raise
            finally:
                self._undo.clear()
                self._done.clear()

    def undo(self, forget: Callable[[], object]) -> None:
        """Register a function that drops cached values if the open transaction is not committed."""
        self._undo.append(forget)

    def _one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        with self._lock, writing(self._place), typed_damage(self._path):
            row: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
            return row

    def _all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock, writing(self._place), typed_damage(self._path):
            return self._db.execute(sql, values).fetchall()

    def _write(self, sql: str, *values: Any) -> None:
        with self._lock:
            if not self._db.in_transaction:
                message = "a write outside of a transaction"
                raise RuntimeError(message)
            self._do(sql, *values)
            self._done.append((sql, values))

    def _do(self, sql: str, *values: Any) -> None:
        """Run a statement of the open transaction; on a full disk, repeat all with the reserve."""
        before = self.reserve.releases
        try:
            self._db.execute(sql, values)
        except sqlite3.Error as error:
            if not is_full(error) or not self.reserve.make_room(before):
                raise
            if self._db.in_transaction:  # SQLite rolls most of them back by itself
                self._db.execute("ROLLBACK")
            self._db.execute("BEGIN IMMEDIATE")
            for earlier, given in self._done:
                self._db.execute(earlier, given)
            self._db.execute(sql, values)

    def _insert(self, table: str, row: dict[str, Any], *, replace: bool = False) -> None:
        verb = "INSERT OR REPLACE" if replace else "INSERT"
        places = ", ".join("?" * len(row))
        # Table and column names come from this package's dataclasses, never from outside.
        sql = f"{verb} INTO {table} ({', '.join(row)}) VALUES ({places})"
        self._write(sql, *row.values())

    def _migrate(self, path: Path) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise damaged(Text("{path} does not say its version", path=shown(str(path))))
        if version > len(MIGRATIONS):
            raise SecureFlowError(
                "store_too_new",
                Text(
                    "The agent's record {path} is of version {version}; this program "
                    "reads up to {count}.",
                    path=path,
                    version=version,
                    count=len(MIGRATIONS),
                ),
                "Start the newer version of SecureFlow that wrote it.",
            )
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self._db.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")
        check_columns(self._db, path)
