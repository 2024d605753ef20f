"""Checks that a foreign file is a record with our tables, and nothing in it that would run."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from secureflow.agent.record.schema import MIGRATIONS
from secureflow.agent.record.store import RecordStore
from secureflow.kit.archive import unreadable


def check_schema(record: Path) -> None:
    """Refuse a file with anything but our tables: a trigger or view would run while we read.

    Raises:
        SecureFlowError: `backup_unreadable`.
    """
    with tempfile.TemporaryDirectory(dir=record.parent) as place:
        fresh = Path(place) / "fresh.db"
        RecordStore(fresh).close()
        ours = set(_schema(fresh))
    try:
        theirs = set(_schema(record))
        with closing(sqlite3.connect(record)) as database:
            database.execute("PRAGMA trusted_schema=OFF")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            sound = database.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
    except sqlite3.DatabaseError as error:
        raise unreadable(record, "its record is not an intact database") from error
    foreign = theirs - ours if version <= len(MIGRATIONS) else set()
    if not sound or foreign or any(kind not in {"table", "index"} for kind, _ in theirs):
        raise unreadable(record, "its record holds something that no agent's record has")


def _schema(path: Path) -> Iterator[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA trusted_schema=OFF")
        yield from database.execute("SELECT type, name FROM sqlite_schema").fetchall()
