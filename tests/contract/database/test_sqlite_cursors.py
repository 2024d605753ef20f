"""SQLite's cursors: one visit to the thread a statement; rows are held as they are asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from secureflow.adapters.database import sqlitecursors
from secureflow.adapters.database.connections import async_engine, driver_url

ROWS = 2500


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[Any]:
    made = await sqlitecursors.connect(tmp_path / "t.db", isolation_level=None)
    await made.cursor().execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
    await made.cursor().executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(ROWS)])
    yield made
    await made.close()


def counted(connection: Any, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    visits: list[object] = []
    put = connection._tx.put_nowait

    class Queue:
        def put_nowait(self, item: object) -> None:
            visits.append(item)
            put(item)

        def get(self) -> object:
            raise AssertionError

    monkeypatch.setattr(connection, "_tx", Queue())
    return visits


async def test_a_statement_and_its_rows_take_one_visit(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits = counted(connection, monkeypatch)
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT n FROM numbers WHERE n < ?", (10,))
        assert [name for name, *_ in cursor.description] == ["n"]
        assert await cursor.fetchone() == (0,)
        assert await cursor.fetchall() == [(n,) for n in range(1, 10)]
    assert len(visits) == 1
    monkeypatch.undo()


async def test_rows_beyond_the_first_ones_come_when_they_are_asked_for(connection: Any) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT n FROM numbers ORDER BY n")
        assert len(cursor._rows) < ROWS
        found = await cursor.fetchmany(700)
        while part := await cursor.fetchmany(700):
            found += part
        assert found == [(n,) for n in range(ROWS)]
        await cursor.execute("SELECT n FROM numbers ORDER BY n")
        assert await cursor.fetchall() == found


async def test_a_cursor_that_is_closed_holds_nothing(connection: Any) -> None:
    cursor = connection.cursor()
    await cursor.execute("SELECT n FROM numbers")
    held = cursor._open
    await cursor.close()
    assert await cursor.fetchall() == []
    with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
        held.fetchone()


async def test_what_was_written_is_counted(connection: Any) -> None:
    cursor = connection.cursor()
    await cursor.execute("UPDATE numbers SET n = n + 10000 WHERE n < 7")
    assert cursor.rowcount == 7
    await cursor.execute("INSERT INTO numbers VALUES (-1) RETURNING n")
    assert await cursor.fetchall() == [(-1,)]
    assert cursor.lastrowid == -1


async def test_a_statement_that_fails_leaves_the_cursor_usable(connection: Any) -> None:
    cursor = connection.cursor()
    with pytest.raises(sqlite3.IntegrityError):
        await cursor.execute("INSERT INTO numbers VALUES (1)")
    await cursor.execute("SELECT 1")
    assert await cursor.fetchall() == [(1,)]


async def test_the_engine_of_the_event_loop_has_these_cursors(tmp_path: Path) -> None:
    (tmp_path / "t.db").touch()
    engine = async_engine(driver_url(f"sqlite:///{tmp_path / 't.db'}"))
    async with engine.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        assert isinstance(raw.cursor(), sqlitecursors._Cursor)
    await engine.dispose()
