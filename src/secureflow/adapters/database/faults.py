"""Faults of the database itself (busy, unavailable, full), told apart from our own bugs.

The driver's message, which names files, hosts and statements, is only in the cause, which only the
operator's log shows.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from secureflow.adapters.database.damage import CHECK, DamageLog
from secureflow.kit.disk import RAISE_LIMIT, TOO_MANY, describe, no_handle_left
from secureflow.kit.errors import InfrastructureError

_SQLITE: Final = {
    sqlite3.SQLITE_BUSY: "database_busy",
    sqlite3.SQLITE_LOCKED: "database_busy",
    sqlite3.SQLITE_PROTOCOL: "database_busy",
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_IOERR: "database_unavailable",
    sqlite3.SQLITE_IOERR_SHMSIZE: "disk_full",  # SQLite's shared-memory file
    sqlite3.SQLITE_CANTOPEN: "database_unavailable",
    sqlite3.SQLITE_READONLY: "database_unavailable",
    sqlite3.SQLITE_PERM: "database_unavailable",
    sqlite3.SQLITE_NOMEM: "database_unavailable",
    sqlite3.SQLITE_CORRUPT: "record_damaged",
    sqlite3.SQLITE_NOTADB: "record_damaged",
}
"""By result code, the primary one last. SQLITE_ERROR, an invalid statement, is a bug."""
_POSTGRES: Final = {
    "53100": "disk_full",
    "55P03": "database_busy",  # lock_not_available
    "57014": "database_busy",  # query_canceled: a timeout, or an operator
    "40001": "database_busy",  # serialization_failure
    "40P01": "database_busy",  # deadlock_detected
    "25006": "database_unavailable",  # read_only_sql_transaction: a standby
    "XX001": "record_damaged",  # data_corrupted
    "XX002": "record_damaged",  # index_corrupted
}
"""By SQLSTATE; if none of these fits, by the classes below."""
_AWAY: Final = ("08", "53", "57P", "58")
"""SQLSTATE classes: connection, resources, operator intervention, system."""


def fault_of(error: BaseException) -> InfrastructureError | None:
    """Return the typed error for an exception of the driver or SQLAlchemy.

    None if it is not a fault of the database: then it is a bug, and must look like one.
    """
    if isinstance(error, UnicodeDecodeError):  # the driver quotes a damaged schema
        return fault("record_damaged")
    if isinstance(error, sa.exc.TimeoutError):  # every connection of the pool is in use
        return fault("database_busy")
    if isinstance(error, sa.exc.PendingRollbackError):  # the connection was lost before
        return fault("database_unavailable")
    code = _code(error.orig if isinstance(error, sa.exc.DBAPIError) else error)
    if code is None and isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        code = "database_unavailable"
    if code == "database_unavailable" and no_handle_left():  # neither driver reports it
        code = TOO_MANY
    return None if code is None else fault(code)


@contextmanager
def typed_faults(damage: DamageLog | None = None) -> Iterator[None]:
    """Turn faults of the database inside the block into typed errors; note damage, if given where.

    Raises:
        InfrastructureError: `database_busy`, `database_unavailable`, `disk_full`,
            `too_many_files`, `record_damaged`.
    """
    try:
        yield
    except _raised() as error:
        known = fault_of(error)
        if known is None:
            raise
        if damage is not None and known.code == "record_damaged":
            damage.found(known, error)
        raise known from error


def fault(code: str) -> InfrastructureError:
    """Return the error of this code, with a text for people."""
    message, hint = _WORDS[code]
    return InfrastructureError(code, message, hint)


_WORDS: Final = {
    "database_busy": (
        "The database is locked by another writer.",
        "Try again; if it persists, look for another process on the same database.",
    ),
    "database_unavailable": (
        "The database cannot be reached at the moment.",
        "Try again soon; if it persists, the operator checks whether its service runs.",
    ),
    "disk_full": (
        "The database cannot grow: the disk of the server is full.",
        "The operator frees space; waiting work then continues by itself.",
    ),
    TOO_MANY: (describe(TOO_MANY, "The centre", ""), RAISE_LIMIT),
    "record_damaged": ("The server's database is damaged.", CHECK),
}


def _code(error: BaseException | None) -> str | None:
    if isinstance(error, sqlite3.Error):
        # The extended code's low byte is the primary one; errors of the module itself have none.
        code = getattr(error, "sqlite_errorcode", 0)
        return _SQLITE.get(code) or _SQLITE.get(code & 0xFF)
    if not isinstance(error, _driver_errors()):
        return None
    state = getattr(error, "sqlstate", None)
    if state is None:  # no answer from the service at all
        return "database_unavailable" if type(error).__name__ in _LOST else None
    known = _POSTGRES.get(state)
    return known or ("database_unavailable" if state.startswith(_AWAY) else None)


_LOST: Final = frozenset({"OperationalError", "InterfaceError", "ConnectionTimeout"})


def _raised() -> tuple[type[Exception], ...]:
    return (sa.exc.SQLAlchemyError, UnicodeDecodeError, *_driver_errors())


def _driver_errors() -> tuple[type[Exception], ...]:
    """Return the base exceptions of the drivers in use; with SQLite no other driver is loaded."""
    psycopg = sys.modules.get("psycopg")
    other: type[Exception] = sqlite3.Error if psycopg is None else psycopg.Error
    return (sqlite3.Error, other)
