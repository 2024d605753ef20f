"""How long a SQLite connection waits for other processes: a checkpoint leaves that as it was."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from secureflow.adapters.database import connections
from secureflow.adapters.database.engine import Database
from secureflow.kit.errors import InfrastructureError

WAIT = 77.0


@pytest.fixture
async def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    monkeypatch.setattr(connections, "BUSY_SECONDS", WAIT)
    database = Database(f"sqlite:///{tmp_path}/secureflow.db")
    await database.start()
    yield database
    await database.close()


async def waits(database: Database) -> float:
    """Return the seconds that the connection in the pool waits for a writer."""
    async with database.engine.connect() as connection:
        milliseconds = await connection.exec_driver_sql("PRAGMA busy_timeout")
        return float(milliseconds.scalar_one()) / 1000


async def test_a_checkpoint_leaves_how_long_the_connection_waits(database: Database) -> None:
    for mode in ("PASSIVE", "TRUNCATE"):
        await database.checkpoint(mode)
        assert await waits(database) == WAIT


async def test_a_checkpoint_that_fails_leaves_it_as_well(database: Database) -> None:
    def fail(*told: Any) -> None:
        if "wal_checkpoint" in told[2]:
            raise sqlite3.OperationalError

    engine = database.engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", fail)
    with pytest.raises(sa.exc.OperationalError):  # of no code that anybody knows
        await database.checkpoint()
    sa.event.remove(engine, "before_cursor_execute", fail)
    assert await waits(database) == WAIT


async def test_a_checkpoint_on_a_full_disk_is_a_typed_fault(database: Database) -> None:
    """Its keeper logs a line of it, not the trace of a defect (`kit.recordmark`)."""

    def fail(*told: Any) -> None:
        if "wal_checkpoint" in told[2]:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    engine = database.engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", fail)
    with pytest.raises(InfrastructureError) as caught:
        await database.checkpoint()
    sa.event.remove(engine, "before_cursor_execute", fail)
    assert caught.value.code == "disk_full"


async def test_a_checkpoint_that_is_cancelled_while_it_waits_ends_so(
    database: Database, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "secureflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(database.checkpoint("TRUNCATE"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await waits(database) == WAIT
