"""Checks before a database is read: that it is intact, and not mistaken for a new one."""

from __future__ import annotations

import sqlite3
from typing import Final

import sqlalchemy as sa

from secureflow.adapters.database.connections import spoken
from secureflow.adapters.database.damage import damaged_log
from secureflow.adapters.database.faults import fault_of
from secureflow.adapters.database.schema import HISTORY, versions_of
from secureflow.adapters.database.tables import METADATA
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

DRIVER_ERRORS: Final = (sa.exc.SQLAlchemyError, sqlite3.Error, UnicodeDecodeError, OSError)
"""Exceptions of opening a database."""
CODE: Final = "record_damaged"


def damage_of(error: Exception) -> str | None:
    """Return the damage, if that is why the database cannot be opened."""
    if isinstance(error, SecureFlowError):
        if error.code != CODE:
            return None
        return str(error.details.get("reason") or damage_of_cause(error) or "it cannot be read")
    known = fault_of(error)
    if known is None or known.code != CODE:
        return None
    return spoken(getattr(error, "orig", None) or error)


def damage_of_cause(error: SecureFlowError) -> str | None:
    """Return the damage, if the cause of a typed error is some."""
    cause = error.__cause__
    return damage_of(cause) if isinstance(cause, Exception) else None


def refuse_half(connection: sa.Connection) -> str | None:
    """Refuse our tables without a migration history: migrations would run over existing data.

    Returns:
        The version in its history ("" if that names none, or more than one); None without one.

    Raises:
        SecureFlowError: `record_damaged`.
    """
    names = set(sa.inspect(connection).get_table_names())
    versions = versions_of(connection) if HISTORY in names else []
    if names & set(METADATA.tables) and not versions:
        raise damaged_log(Text("its tables have no history ({history})", history=HISTORY))
    if HISTORY not in names:
        return None
    return versions[0] if len(versions) == 1 else ""


def refuse_missing(connection: sa.Connection) -> None:
    """Refuse a database that lacks a table or a column after its migration.

    Raises:
        SecureFlowError: `record_damaged`.
    """
    there = {
        (table, column["name"])
        for (_, table), columns in sa.inspect(connection).get_multi_columns().items()
        for column in columns
    }
    wanted = {(table, column.name) for table, one in METADATA.tables.items() for column in one.c}
    missing = sorted({table for table, _ in wanted - there})
    if missing:
        raise damaged_log(
            Text("it lacks the tables {missing}, or columns of them", missing=", ".join(missing))
        )
