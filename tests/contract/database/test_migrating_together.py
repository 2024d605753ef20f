"""Servers that start at once on one database: one migrates, the others wait for it and say so."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from secureflow.adapters.database import engine, migrating
from secureflow.adapters.database.connections import driver_url, sync_engine
from secureflow.adapters.database.engine import Database, migrate
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from tests.green import ROOT, busy
from tests.migrated import migrated
from tests.peers.database_faults import locked

NAME = "migration_awaited"
REPLICA = """
import asyncio, json, sys
from secureflow.adapters.database.engine import Database
from secureflow.kit.errors import SecureFlowError

async def start():
    database = Database(sys.argv[1])
    try:
        await database.start()
    finally:
        await database.close()

print("loaded", flush=True)
sys.stdin.readline()
try:
    asyncio.run(start())
except SecureFlowError as error:
    print(json.dumps(str(error)))
else:
    print(json.dumps("there"))
"""


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits longer than it has to."""
    for name in ("START_SECONDS", "AT_ONCE_SECONDS", "LOCK_SECONDS"):
        monkeypatch.setattr(engine, name, 0.02)
    monkeypatch.setattr(migrating, "LONGEST", 0.05)


@contextmanager
def migrating_elsewhere(url: str) -> Iterator[sa.Connection]:
    """Hold a database as a process does that migrates it; what was not committed is undone."""
    other = sync_engine(driver_url(url))
    try:
        with other.connect() as connection:
            assert engine._is_turn(connection)
            yield connection
            connection.rollback()
    finally:
        other.dispose()


@pytest.mark.parametrize("ends", ["well", "killed"])
async def test_a_migration_of_another_process_is_waited_for(
    url: str, another: Callable[[], Database], monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    waiting = another()
    with capture_logs() as said:
        with migrating_elsewhere(url) as other:
            start = asyncio.ensure_future(waiting.start())
            while len([line for line in said if line["event"] == NAME]) < 3:
                assert not start.done()
                await asyncio.sleep(0.01)
            if ends == "well":
                with monkeypatch.context() as held:
                    held.setattr(engine, "_is_turn", lambda _: True)  # it is
                    assert migrate(other)
                other.commit()
        await start
    assert waiting.name in {line["database"] for line in said if line["event"] == NAME}
    assert said[-1]["event"] == "migration_there"
    async with waiting.begin() as unit:
        assert await unit.users.find("usr_1") is None


async def test_the_wait_is_bounded_and_names_the_database(
    url: str, another: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "MIGRATION_SECONDS", 0.1)
    waiting = another()
    with migrating_elsewhere(url), pytest.raises(SecureFlowError) as caught:
        await waiting.start()
    assert caught.value.code == "database_busy"
    assert not isinstance(caught.value, InfrastructureError)  # nobody adds another wait to it
    assert f"has held the database {waiting.name} for 0.1 s" in caught.value.message


async def test_a_table_that_an_idle_session_holds_is_waited_for_aloud(
    url: str, another: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited in silence, and for ever: for the transaction of somebody who went to lunch."""
    if url.startswith("sqlite"):
        pytest.skip("a file is locked as a whole, see above")
    older = sync_engine(driver_url(url))
    with older.connect() as connection:
        assert migrate(connection, "0024")
        connection.commit()
    with older.connect() as idle, capture_logs() as said:
        idle.exec_driver_sql("LOCK TABLE jobs IN ACCESS SHARE MODE")
        waiting = another()
        start = asyncio.ensure_future(waiting.start())
        while len([line for line in said if line["event"] == NAME]) < 2:
            assert not start.done(), start
            await asyncio.sleep(0.01)
        idle.rollback()
        await start
        assert said[-1]["event"] == "migration_there"
        idle.rollback()
    older.dispose()


async def test_a_current_file_that_somebody_locks_is_not_taken_for_a_migration(
    tmp_path: Path,
) -> None:
    database = Database(migrated(tmp_path / "a.db"))
    with locked(tmp_path / "a.db"), capture_logs() as said:
        with pytest.raises(InfrastructureError, match="is locked by another process"):
            await database.start()
        await database.close()
    assert NAME not in [line["event"] for line in said]


async def test_who_holds_the_lock_of_a_current_database_delays_no_start(
    database: Database, url: str, another: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every role that may connect can take that lock, and keep it, where nothing is to be done."""
    if url.startswith("sqlite"):
        pytest.skip("of a file that somebody locks the test before tells")
    monkeypatch.setattr(migrating, "MIGRATION_SECONDS", 0.1)
    with migrating_elsewhere(url):
        await another().start()


def test_a_current_database_is_looked_at_without_a_lock(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that servers that are started again at once do not wait for each other's look."""
    held: list[bool] = []

    def look(connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        held.append(getattr(driver, "in_transaction", None) or False)

    monkeypatch.setattr(engine, "refuse_missing", look)
    one = sync_engine(driver_url(url))
    with one.connect() as connection:
        assert migrate(connection)
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        if not url.startswith("sqlite"):
            held.append(bool(connection.exec_driver_sql(locks).scalar_one()))
    one.dispose()
    assert held
    assert not any(held)


@pytest.mark.full
def test_three_processes_beside_busy_loops(url: str) -> None:
    """The real migrations, from nothing, in processes of their own."""
    command = [sys.executable, "-c", REPLICA, url]
    with busy(2 * (os.cpu_count() or 1)):
        replicas = [
            subprocess.Popen(
                command, cwd=ROOT, text=True, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )
            for _ in range(3)
        ]  # fmt: skip
        for replica in replicas:
            assert replica.stdout is not None
            assert replica.stdout.readline() == "loaded\n"
        for replica in replicas:
            assert replica.stdin is not None
            replica.stdin.write("\n")
            replica.stdin.flush()
        told = [json.loads(replica.communicate()[0]) for replica in replicas]
    assert told == ["there"] * 3
