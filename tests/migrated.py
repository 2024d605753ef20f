"""A SQLite database of this version's schema: migrated once, and copied for whoever needs one.

Migrating takes most of what an empty database costs a test.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.util import await_only

from secureflow.adapters.database import engine
from secureflow.adapters.database.engine import Database

T = TypeVar("T")
VERSIONS: Final = "alembic_version"


def migrated(path: Path) -> str:
    """Put an empty database there; return its URL."""
    path.write_bytes(_image())
    return f"sqlite:///{path}"


def migrate(url: str) -> None:
    """Bring a database to this version's schema, on a loop of its own."""

    async def start() -> None:
        database = Database(url)
        await database.start()
        await database.close()

    thread = threading.Thread(target=lambda: asyncio.run(start()))
    thread.start()
    thread.join()


@functools.cache
def _image() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "test.db"
        migrate(f"sqlite:///{path}")
        return path.read_bytes()


class ByRote:
    """Stands in for Alembic where what it would do is known: it takes a fifth of a second.

    An empty SQLite file gets what Alembic made of the first one in this process; a database of this
    version is left as it is. Everything else is Alembic's, and what is around it the product's.
    """

    def __init__(self) -> None:
        self._script: list[str] = []
        self._version = ""

    def upgrade(self, config: Config, to: str) -> None:
        """Migrate the database of a configuration."""
        connection: sa.Connection = config.attributes["connection"]
        known = sa.inspect(connection).get_table_names() if to == "head" else ["?"]
        if VERSIONS in known and self._version == self._found(connection):
            return
        if connection.dialect.name != "sqlite" or known:
            command.upgrade(config, to)
            return
        if self._script:
            _raw(connection, lambda file: [file.execute(one) for one in self._script])
            return
        command.upgrade(config, to)
        self._script = _raw(connection, lambda file: list(file.iterdump()))[1:-1]
        self._version = self._found(connection)

    def _found(self, connection: sa.Connection) -> str:
        found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSIONS}").scalars().all()
        return found[0] if len(found) == 1 else "?"


def _raw(connection: sa.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Call a function with SQLite's own connection, in whatever thread that lives."""
    driver: Any = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        return work(driver)
    done: T = await_only(driver._execute(work, driver._conn))
    return done


def migrate_by_rote() -> None:
    """Have every database in this process migrated so."""
    engine.command = ByRote()  # type: ignore[assignment]
