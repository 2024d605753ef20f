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
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.util import await_only

from secureflow.adapters.database import schema
from secureflow.adapters.database.engine import Database

T = TypeVar("T")


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


def _raw(connection: sa.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Call a function with SQLite's own connection, in whatever thread that lives."""
    driver: Any = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        return work(driver)
    done: T = await_only(driver._execute(work, driver._conn))
    return done


_create = schema.create


def _create_at_once(connection: sa.Connection) -> None:
    """Run the product's statements with one call: each goes to SQLite's thread and back."""
    if connection.dialect.name == "sqlite":
        wanted = schema.statements("sqlite")
        _raw(connection, lambda file: [file.execute(one) for one in wanted])
    else:
        _create(connection)


def create_at_once() -> None:
    """Have every new database in this process made so."""
    schema.create = _create_at_once
