"""Checks a whole database, even while a server uses it, for consistency.

One read-only transaction sees a snapshot. Nothing is repaired and nothing is written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL

from secureflow.adapters.database.connections import driver_url, shown_url, spoken
from secureflow.adapters.database.damage import decoded
from secureflow.adapters.database.integrity import (
    DRIVER_ERRORS,
    damage_of,
    refuse_half,
    refuse_missing,
)
from secureflow.adapters.database.schema import HISTORY
from secureflow.adapters.database.tables import METADATA
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.findings import Finding
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text

RESTORE: Final = "Stop the server and restore the newest intact backup."
_PAGES: Final = 100
"""Maximum page problems that SQLite is asked for."""
_BUSY_MS: Final = 5000
_VERSION: Final[sa.Select[Any]] = sa.select(sa.column("version_num")).select_from(sa.table(HISTORY))


@contextmanager
def reading(url: str) -> Iterator[sa.Connection]:
    """Open a database for reading, in one transaction.

    Raises:
        SecureFlowError: `record_damaged`, `database_unavailable`, `record_missing`.
    """
    place = driver_url(url)
    engine = _engine(place)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection.exec_driver_sql(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
                )
            yield connection
    except DRIVER_ERRORS as error:
        raise unreadable(named(url), error) from error
    finally:
        engine.dispose()


def named(url: str) -> str:
    """Return a database's name for people: the path of a file."""
    return shown_url(driver_url(url))


def unreadable(where: str, error: Exception) -> SecureFlowError:
    """Return the error for a database that cannot be read at all."""
    what = damage_of(error)
    if what is not None:
        return SecureFlowError(
            "record_damaged",
            Text("The database {where} is damaged: {what}.", where=where, what=what),
            RESTORE,
        )
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    reason = reason_of(cause) if isinstance(cause, OSError) else spoken(cause).partition("\n")[0]
    hint = "Check the path or address, the permissions and that the service runs."
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
        hint = "SQLite makes files beside a database that it reads: this user must be able to."
    return SecureFlowError(
        "database_unavailable",
        Text("The database {where} cannot be opened: {error}", where=where, error=reason),
        hint,
    )


def raw(table: sa.Table) -> sa.Select[Any]:
    """Return the query of a table's raw values: a damaged one may have any type."""
    columns: list[Any] = [sa.type_coerce(c, sa.types.NullType()).label(c.name) for c in table.c]
    return sa.select(*columns)


def in_bytes(value: Any) -> bytes:
    """Return a stored value that should be bytes; empty if it has another type."""
    return bytes(value) if isinstance(value, bytes | memoryview) else b""


def check_pages(connection: sa.Connection, where: str) -> Iterator[Finding]:
    """Have the database check its own pages and indexes (SQLite; PostgreSQL has checksums)."""
    if connection.dialect.name != "sqlite":
        return
    for row in connection.exec_driver_sql(f"PRAGMA integrity_check({_PAGES})"):
        if row[0] != "ok":
            yield Finding(
                "database", Text("{where} is damaged: {row}.", where=where, row=row[0]), RESTORE
            )


def has_tables(connection: sa.Connection) -> bool:
    """Tell whether there are tables of a platform, or a migration history, at all."""
    return bool(set(sa.inspect(connection).get_table_names()) & {HISTORY, *METADATA.tables})


def check_schema(connection: sa.Connection, where: str, newest: str) -> Iterator[Finding]:
    """Compare the schema with this version's.

    An older one is not a fault: the next start migrates it. It is not read any further.

    Raises:
        SecureFlowError: `database_newer`, `data_older`.
    """
    try:
        refuse_half(connection)
        version = connection.execute(_VERSION).scalar_one()
    except SecureFlowError as error:
        reason = error.details.get("reason", error.message)
        yield Finding(
            "database", Text("{where} is damaged: {reason}.", where=where, reason=reason), RESTORE
        )
        return
    if version != newest:
        raise SecureFlowError(
            "database_newer",
            Text(
                "The database {where} has schema version {version}; this program reads {newest}.",
                where=where,
                version=version,
                newest=newest,
            ),
            "Check it with the version that runs on it; an older schema is migrated at the next "
            "secureflow server start.",
        )
    try:
        refuse_missing(connection)
    except SecureFlowError as error:
        reason = error.details.get("reason", error.message)
        yield Finding(
            "database", Text("{where} is damaged: {reason}.", where=where, reason=reason), RESTORE
        )


def _engine(url: URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True)
    path = Path(url.database or "")
    if not path.is_file():
        raise SecureFlowError(
            "record_missing", Text("The database {path} is missing.", path=path), RESTORE
        )
    engine = sa.create_engine(
        f"sqlite+pysqlite:///file:{path}?mode=ro&uri=true",
        poolclass=sa.NullPool,
        hide_parameters=True,
    )
    sa.event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    connection.text_factory = decoded
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
