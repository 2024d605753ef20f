"""Several processes open one new SQLite file, and each wants to switch it to its own log."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from secureflow.adapters.database import connections
from secureflow.adapters.database.connections import driver_url, sync_engine
from secureflow.adapters.database.engine import Database
from secureflow.kit.errors import SecureFlowError


@contextmanager
def held(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold a new file as somebody does who switches it: SQLite says so to others at once."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.execute("BEGIN IMMEDIATE")
        yield other


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_SWITCH_SECONDS", 120.0)


async def test_the_event_loop_waits_for_another_opening(tmp_path: Path) -> None:
    with held(tmp_path / "a.db") as other:
        database = Database(f"sqlite:///{tmp_path}/a.db")
        start = asyncio.ensure_future(database.start())
        done, _ = await asyncio.wait({start}, timeout=0.1)
        assert not done
        other.execute("COMMIT")
        await start
    await database.close()


def test_a_thread_waits_for_another_opening(tmp_path: Path) -> None:
    with held(tmp_path / "a.db") as other:
        engine = sync_engine(driver_url(f"sqlite:///{tmp_path}/a.db"))
        leaving = threading.Timer(0.1, other.execute, ["COMMIT"])
        leaving.start()
        try:
            with engine.connect() as connection:
                assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        finally:
            leaving.join()
            engine.dispose()


async def test_an_opening_that_lasts_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_SWITCH_SECONDS", 0.05)
    with held(tmp_path / "a.db"):
        database = Database(f"sqlite:///{tmp_path}/a.db")
        with pytest.raises(SecureFlowError) as caught:
            await database.start()
        await database.close()
    assert caught.value.code == "database_busy"
