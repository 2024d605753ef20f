"""Fixtures: a fresh database per test, over every backend that there is.

It is made once for each backend, and copied.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.kit.crypto import SigningKey
from tests.migrated import migrate, migrated

ORIGIN = "log.example"
LOG_KEY = SigningKey.from_seed(b"\x0c" * 32)


@pytest.fixture(scope="session")
def migrated_postgres(empty_postgres: Callable[..., str]) -> Callable[[], str]:
    """Make databases of this version's schema in PostgreSQL."""
    template = empty_postgres()
    migrate(template)
    return lambda: empty_postgres(make_url(template).database)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database: empty, unless the test has `database` too."""
    used = "database" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "test.db"
        return migrated(path) if used else f"sqlite:///{path}"
    make: Callable[[], str] = request.getfixturevalue(
        "migrated_postgres" if used else "empty_postgres"
    )
    return make()


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
