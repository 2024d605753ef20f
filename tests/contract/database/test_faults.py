"""Faults of the database itself: each is called by its name, without the driver's words."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from secureflow.adapters.database import connections
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.faults import fault_of
from secureflow.adapters.database.log import SqlLedger
from secureflow.domain.errors import Category, category
from secureflow.domain.organisations import Organisation
from secureflow.kit.errors import InfrastructureError
from tests.contract.database.conftest import LOG_KEY, ORIGIN
from tests.contract.database.test_log import notes
from tests.peers.database_faults import cut, locked

DRIVER_WORDS = ("sqlite", "psycopg", "sqlalchemy", "insert", "database or disk", "terminating")


def said_plainly(error: InfrastructureError, code: str) -> None:
    assert error.code == code
    assert category(error.code) is Category.UNAVAILABLE
    told = f"{error.message} {error.hint} {error.details}".lower()
    assert not [word for word in DRIVER_WORDS if word in told]
    assert error.message
    assert error.hint


async def add(database: Database, name: str) -> None:
    async with database.begin() as unit:
        await unit.organisations.add(Organisation(name, "x" * 8000, 1))
        await unit.commit()


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[tuple[Database, SqlLedger, Path]]:
    """A SQLite database that nobody waits for."""
    patch = pytest.MonkeyPatch()
    patch.setattr(connections, "BUSY_SECONDS", 0)
    path = tmp_path / "test.db"
    database = Database(f"sqlite:///{path}")
    await database.start()
    ledger = SqlLedger(database, LOG_KEY, ORIGIN, lambda: 1_700_000_000.0)
    await ledger.start()
    yield database, ledger, path
    await ledger.stop()
    await database.close()
    patch.undo()


async def test_another_writer_is_named_and_waited_for_by_who_asked(
    small: tuple[Database, SqlLedger, Path],
) -> None:
    database, ledger, path = small
    with locked(path):
        for call in (lambda: add(database, "bank-a"), lambda: ledger.append(notes(1))):
            attempt: Callable[[], Awaitable[object]] = call
            with pytest.raises(InfrastructureError) as caught:
                await attempt()
            said_plainly(caught.value, "database_busy")
    await add(database, "bank-a")
    assert (await ledger.append(notes(1))).indices == (0,)


async def test_a_full_disk_is_named_and_used_again_when_there_is_room(
    small: tuple[Database, SqlLedger, Path],
) -> None:
    database, ledger, _ = small
    full = True

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={1 if full else 1 << 30}")  # as it is: the least

    engines = (database.engine.sync_engine, ledger._store._engine)
    for engine in engines:
        sa.event.listen(engine, "checkout", limit)

    async def fill_the_tables() -> None:
        for n in range(1000):
            await add(database, f"bank-{n}")

    async def fill_the_log() -> None:
        for _ in range(1000):
            await ledger.append(notes(300))

    with pytest.raises(InfrastructureError) as caught:
        await fill_the_tables()
    said_plainly(caught.value, "disk_full")
    with pytest.raises(InfrastructureError) as caught:
        await fill_the_log()
    said_plainly(caught.value, "disk_full")
    full = False
    await add(database, "bank-z")
    before = len(await ledger.entries())
    assert (await ledger.append(notes(1))).indices == (before,)


@pytest.mark.postgres
@pytest.mark.parametrize("at", ["read", "write", "commit", "leaving"])
async def test_a_connection_that_is_cut_is_named_wherever_it_was(
    empty_postgres: Callable[[], str], at: str
) -> None:
    url = empty_postgres()
    database = Database(url)
    await database.start()

    async def call() -> None:
        async with database.begin() as unit:
            await unit.organisations.add(Organisation("bank-a", "A", 1))
            assert await asyncio.to_thread(cut, url)
            if at == "read":
                await unit.organisations.find("bank-a")
            elif at == "write":
                await unit.organisations.add(Organisation("bank-b", "B", 1))
            elif at == "commit":
                await unit.commit()

    try:
        if at == "leaving":
            await call()
        else:
            with pytest.raises(InfrastructureError) as caught:
                await call()
            said_plainly(caught.value, "database_unavailable")
        await add(database, "bank-a")  # nothing of it was kept, and the pool has no dead connection
    finally:
        await database.close()


@pytest.mark.postgres
async def test_a_ledger_whose_connection_is_cut_says_so_and_goes_on(
    empty_postgres: Callable[[], str],
) -> None:
    url = empty_postgres()
    database = Database(url)
    await database.start()
    ledger = SqlLedger(database, LOG_KEY, ORIGIN, lambda: 1_700_000_000.0)
    await ledger.start()
    real, cuts = ledger._store._run_many, [None]

    def cut_once(cursor: object, name: str, rows: object) -> None:
        if cuts:
            cuts.pop()
            assert cut(url)
        real(cursor, name, rows)

    try:
        ledger._store._run_many = cut_once  # type: ignore[method-assign]
        with pytest.raises(InfrastructureError) as caught:
            await ledger.append(notes(2))
        said_plainly(caught.value, "database_unavailable")
        assert (await ledger.append(notes(2))).indices == (0, 1)
    finally:
        await ledger.stop()
        await database.close()


def test_what_postgresql_says_is_told_apart() -> None:
    errors = pytest.importorskip("psycopg.errors")
    for error, code in (
        (errors.DiskFull("x"), "disk_full"),
        (errors.DeadlockDetected("x"), "database_busy"),
        (errors.LockNotAvailable("x"), "database_busy"),
        (errors.AdminShutdown("x"), "database_unavailable"),
        (errors.CannotConnectNow("x"), "database_unavailable"),
        (errors.TooManyConnections("x"), "database_unavailable"),
        (errors.OperationalError("server closed the connection"), "database_unavailable"),
    ):
        for raised in (error, sa.exc.OperationalError("SELECT 1", {}, error)):
            fault = fault_of(raised)
            assert fault is not None
            said_plainly(fault, code)


@pytest.mark.parametrize("statement", ["SELEC 1", "SELECT * FROM nowhere"])
async def test_a_statement_of_ours_that_cannot_be_stays_a_defect(
    small: tuple[Database, SqlLedger, Path], statement: str
) -> None:
    """Whoever waited for it would wait for ever."""
    database, _, _ = small
    async with database.begin() as unit:
        with pytest.raises(sa.exc.OperationalError):
            await unit.write(sa.text(statement))


@pytest.mark.parametrize("url", ["postgresql://sf@db/x", "postgresql://sf@db/x?keepalives_idle=99"])
async def test_a_machine_that_is_gone_is_asked_for_by_the_kernel(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """It sends no word of its end: without these a statement waits for it for two hours."""
    asked: list[dict[str, str]] = []

    def connect(*_: object, **given: str) -> None:
        asked.append(given)
        raise psycopg.OperationalError

    async def connect_later(*_: object, **given: str) -> None:
        connect(**given)

    monkeypatch.setattr(psycopg, "connect", connect)
    monkeypatch.setattr(psycopg.Connection, "connect", connect)
    monkeypatch.setattr(psycopg.AsyncConnection, "connect", connect_later)
    engine = connections.async_engine(connections.driver_url(url))
    with pytest.raises(sa.exc.OperationalError):
        await engine.connect()
    with pytest.raises(sa.exc.OperationalError):
        connections.sync_engine(connections.driver_url(url)).connect()
    assert len(asked) == 2
    for given in asked:
        assert given["keepalives_idle"] == ("99" if "99" in url else "10")
        wanted = {"connect_timeout", "keepalives_interval", "keepalives_count", "tcp_user_timeout"}
        assert wanted < set(given)


@pytest.mark.postgres
async def test_who_holds_a_table_is_named_and_not_waited_for_without_end(
    empty_postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.2)
    url = empty_postgres()
    database = Database(url)
    await database.start()
    ledger = SqlLedger(database, LOG_KEY, ORIGIN, lambda: 1_700_000_000.0)
    await ledger.start()
    other = sa.create_engine(url, poolclass=sa.pool.NullPool)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: ledger.append(notes(1)),
        lambda: add(database, "bank-a"),
    ]
    try:
        with other.connect() as holder:
            holder.exec_driver_sql("LOCK TABLE log_head, organisations")
            for call in calls:
                with pytest.raises(InfrastructureError) as caught:
                    await asyncio.wait_for(call(), 30)
                said_plainly(caught.value, "database_busy")
        for call in calls:
            await call()
    finally:
        await ledger.stop()
        await database.close()


@pytest.mark.parametrize("at", ["BEGIN IMMEDIATE", "INSERT", "SELECT", "COMMIT", "ROLLBACK"])
async def test_who_is_cancelled_in_the_middle_keeps_no_lock(
    small: tuple[Database, SqlLedger, Path], at: str
) -> None:
    """The connection was thrown away, and SQLite kept its lock until a traceback was collected."""
    database, _, _ = small
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slowly(statement: str) -> None:
        if statement.startswith(at):
            loop.call_soon_threadsafe(begun.set)
            time.sleep(0.05)  # in the connection's own thread

    @sa.event.listens_for(database.engine.sync_engine, "checkout")
    def traced(connection: Any, *_: object) -> None:
        connection.driver_connection._conn.set_trace_callback(slowly)

    async def call() -> None:
        async with database.begin() as unit:
            await unit.organisations.add(Organisation("bank-a", "A", 1))
            await unit.organisations.find("bank-a")
            if at != "ROLLBACK":
                await unit.commit()

    task = asyncio.create_task(call())
    await begun.wait()
    task.cancel()
    ended = await asyncio.gather(task, return_exceptions=True)  # its traceback is kept
    assert isinstance(ended[0], asyncio.CancelledError)
    begun.clear()
    await add(database, "bank-b")
