"""Readiness: a server that cannot write is not ready, and says so in time."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from secureflow.adapters.database import connections
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.application.access import Principal
from secureflow.application.passwords import Passwords
from secureflow.domain.users import Role
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError
from secureflow.server.centre import make_readiness
from secureflow.server.readiness import Dependency, ReadinessProbe
from tests.stage import ORIGIN, PASSWORD, Stage, empty_stage
from tests.unit.server.conftest import FAST, Api
from tests.unit.server.test_edge import assert_problem

READY = {"database": True, "ledger": True, "writing": True, "signing": True}


@dataclass
class Platform:
    """A server's use cases on SQLite, an operator, and what the file lies on."""

    stage: Stage
    api: Api
    operator: Principal
    path: Path
    full: bool = False

    def limit(self, connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={1 if self.full else 1 << 30}")

    async def ready(self) -> tuple[int, dict[str, bool]]:
        self.stage.ticks[0] += 100  # earlier answers stand no longer
        response = await self.api.http.get("/readyz")
        return response.status_code, response.json()


@pytest.fixture
async def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Platform]:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0)
    path, key = tmp_path / "test.db", SigningKey.generate()
    database = Database(f"sqlite:///{path}")
    await database.start()
    ledger = SqlLedger(database, key, ORIGIN)
    await ledger.start()
    stage = empty_stage(tmp_path, key, database, ledger)
    readiness = make_readiness(database, ledger, lambda: stage.ticks[0])
    object.__setattr__(stage.services, "readiness", readiness)
    object.__setattr__(stage.services, "record", lambda: database.fault)
    operator = await stage.add_person("", Role.PLATFORM_ADMIN)
    async with database.begin() as work:
        user = await work.users.get(operator.user)
        await work.users.save(replace(user, password=await Passwords().hash(PASSWORD)))
        await work.commit()
    platform = Platform(stage, Api(stage, FAST), operator, path)
    for engine in (database.engine.sync_engine, ledger._store._engine):
        sa.event.listen(engine, "checkout", platform.limit)
    yield platform
    await readiness.stop()
    await ledger.stop()
    await database.close()


async def test_a_server_on_a_full_disk_is_not_ready_until_there_is_room(platform: Platform) -> None:
    assert await platform.ready() == (200, READY)
    platform.full = True
    async with platform.stage.database.begin() as work:  # the pages that the probe left
        await work.set_setting("filling", "x" * 50_000)
        await work.commit()
    assert await platform.ready() == (503, {**READY, "writing": False})
    platform.full = False
    assert await platform.ready() == (200, READY)


async def test_who_logs_in_on_a_full_disk_hears_of_it(platform: Platform) -> None:
    """Not of a defect, and not that the password was wrong."""
    platform.full = True

    async def fill() -> None:
        for _ in range(90):
            await platform.stage.bearer(platform.operator)

    with pytest.raises(InfrastructureError):
        await fill()
    body = {"name": platform.operator.name, "password": PASSWORD}
    response = await platform.api.call("POST", "/login", json=body)
    problem = assert_problem(response, 503, "disk_full")
    assert "sqlite" not in response.text.lower()
    assert problem["hint"]
    platform.full = False
    assert (await platform.api.call("POST", "/login", json=body)).status_code < 300


async def test_a_server_whose_database_another_process_locks_is_not_ready(
    platform: Platform,
) -> None:
    other = sqlite3.connect(platform.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await platform.ready() == (503, {**READY, "writing": False})
    other.close()
    assert await platform.ready() == (200, READY)


async def test_a_server_whose_database_is_replaced_says_so_and_takes_nothing(
    platform: Platform,
) -> None:
    away = platform.path.with_name("away.db")
    platform.path.rename(away)
    status, told = await platform.ready()
    assert (status, told["database"], told["writing"]) == (503, False, False)
    named: Any = told["record_replaced"]
    assert named["code"] == "record_replaced"
    assert named["hint"]
    assert str(platform.path.parent) not in str(told), "anybody may ask"
    body = {"name": platform.operator.name, "password": PASSWORD}
    assert_problem(await platform.api.call("POST", "/login", json=body), 503, "record_replaced")
    away.rename(platform.path)
    assert await platform.ready() == (200, READY)


async def test_a_server_that_met_a_damaged_page_says_so(platform: Platform) -> None:
    """Its own parts do not read that page; whoever watches it must learn of it all the same."""
    database, path = platform.stage.database, platform.path
    await database.checkpoint("TRUNCATE")
    await database.engine.dispose()  # what is in memory is intact
    with contextlib.closing(sqlite3.connect(path)) as reading:
        (size,) = reading.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_schema WHERE tbl_name = 'journal'"
        pages = [page for (page,) in reading.execute(query)]  # the table's, and its index's
    data = bytearray(path.read_bytes())
    for start in ((page - 1) * size for page in pages):
        data[start : start + 12] = bytes(one ^ 0xFF for one in data[start : start + 12])
    with path.open("r+b") as file:
        file.write(data)
    assert await platform.ready() == (200, READY)
    async with database.begin() as work:
        with pytest.raises(InfrastructureError, match="record_damaged"):
            await work.journal.read("job_1")
    status, told = await platform.ready()
    named: Any = told["record_damaged"]
    assert (status, named["code"]) == (503, "record_damaged")
    assert "secureflow server check" in named["hint"]
    assert str(path.parent) not in str(told), "anybody may ask"


async def test_a_part_that_hangs_is_told_in_time_and_asked_once() -> None:
    """Who asks for readiness is not kept waiting, and does not pile work up."""
    hanging, asked = asyncio.Event(), 0

    async def hang() -> None:
        nonlocal asked
        asked += 1
        await hanging.wait()

    ticks = iter(range(0, 1000, 100))
    probe = ReadinessProbe({"slow": Dependency(hang)}, lambda: float(next(ticks)), patience=0)
    assert [await probe() for _ in range(3)] == [{"slow": False}] * 3
    assert asked == 1
    hanging.set()
    while not (await probe())["slow"]:
        pass
    await probe.stop()


async def test_an_answer_stands_for_a_while() -> None:
    """Anybody may ask, as often as they like: a write for each would be theirs to order."""
    asked, now = 0, 0.0

    async def count() -> None:
        nonlocal asked
        asked += 1

    probe = ReadinessProbe({"part": Dependency(count, 5.0)}, lambda: now)
    for _ in range(10):
        assert await probe() == {"part": True}
    assert asked == 1
    now = 5.0
    await probe()
    assert asked == 2
    await probe.stop()
