"""Fixtures: a fresh database per test, over every backend that there is."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.kit.crypto import SigningKey
from tests.contract.database import postgres

ORIGIN = "log.example"
LOG_KEY = SigningKey.from_seed(b"\x0c" * 32)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start our own PostgreSQL, once."""
    bin_dir = postgres.binaries()
    if bin_dir is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have PostgreSQL: its binaries were not found")
        pytest.skip("PostgreSQL NOT TESTED: no initdb in PATH or /usr/lib/postgresql/*/bin")
    with postgres.server(bin_dir) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    admin: str = request.getfixturevalue("postgres_server")
    name = f"t{uuid.uuid4().hex}"
    engine = sa.create_engine(admin, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return make_url(admin).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """A migrated database."""
    database = Database(url)
    await database.start()
    yield database
    await database.close()


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[SqlLedger]:
    """A started log in it."""
    ledger = SqlLedger(database, LOG_KEY, ORIGIN, lambda: 1_700_000_000.0)
    await ledger.start()
    yield ledger
    await ledger.stop()


@pytest.fixture
async def another(url: str) -> AsyncIterator[Callable[[], Database]]:
    """More handles on the same database, as another replica would have."""
    opened: list[Database] = []

    def open_again() -> Database:
        opened.append(Database(url))
        return opened[-1]

    yield open_again
    for one in opened:
        await one.close()
