"""This version's schema in a new database: made at once, as all migrations after each other would.

Migrations are for databases that hold something. A test compares what both ways make.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from secureflow.adapters.database.tables import METADATA

HISTORY: Final = "alembic_version"
"""Alembic's table: which version a database has."""
NEWEST: Final = "0027"
"""This version's schema: the name of the last migration."""


def versions_of(connection: sa.Connection) -> list[str]:
    """Return the versions in a database's history: one, if it is as Alembic leaves it."""
    query = sa.text(f"SELECT version_num FROM {HISTORY}")  # noqa: S608  a constant
    return [str(one) for one in connection.execute(query).scalars()]


def create(connection: sa.Connection) -> None:
    """Make this version's tables in a database without any of ours; the caller commits."""
    for statement in statements(connection.dialect.name):
        connection.exec_driver_sql(statement)


@cache
def statements(backend: str) -> tuple[str, ...]:
    """Return what makes the tables, and their history, in a database of this kind."""
    dialect = sa.create_mock_engine(f"{backend}://", lambda *_, **__: None).dialect
    made: list[str] = []
    for table in METADATA.sorted_tables:
        made.append(str(CreateTable(table).compile(dialect=dialect)))
        indexes = sorted(table.indexes, key=lambda one: str(one.name))
        made += [str(CreateIndex(index).compile(dialect=dialect)) for index in indexes]
    made.append(
        f"CREATE TABLE {HISTORY} (version_num VARCHAR(32) NOT NULL,"
        f" CONSTRAINT {HISTORY}_pkc PRIMARY KEY (version_num))"
    )
    made.append(f"INSERT INTO {HISTORY} (version_num) VALUES ('{NEWEST}')")  # noqa: S608  constants
    return tuple(made)
