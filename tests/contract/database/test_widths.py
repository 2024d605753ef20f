"""No column is wider in one database than in the other: what one of them takes, both take.

SQLite's INTEGER holds 64 bits and its TEXT has no length, whatever a declaration says; a column
that PostgreSQL makes narrower works on every developer's machine and fails at the operator's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.tables import METADATA

Widths = dict[tuple[str, str], str]
_SQLITE = {"INTEGER": "64 bits", "BIGINT": "64 bits", "TEXT": "text", "BLOB": "bytes"}
_POSTGRES = {"bigint": "64 bits", "text": "text", "bytea": "bytes"}
_ALEMBIC = "alembic_version"


async def widths(url: str) -> Widths:
    """Return what each column of a migrated database really holds."""
    database = Database(url)
    try:
        await database.start()
        async with database.engine.connect() as connection:
            return await connection.run_sync(_read)
    finally:
        await database.close()


def _read(connection: sa.Connection) -> Widths:
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(
            "SELECT m.name, c.name, upper(c.type) FROM sqlite_master m, pragma_table_info(m.name) c"
            " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
        )
        known = _SQLITE
    else:
        found = connection.exec_driver_sql(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = current_schema()"
        )
        known = _POSTGRES
    return {
        (table, column): known.get(kind, f"{kind}, whose width nobody compared")
        for table, column, kind in found
        if table != _ALEMBIC
    }


def wider(one: Widths, other: Widths) -> list[str]:
    """Name the columns that the two do not hold alike."""
    return [
        f"{table}.{column}: {one.get((table, column))} and {other.get((table, column))}"
        for table, column in sorted(one.keys() | other.keys())
        if one.get((table, column)) != other.get((table, column))
    ]


@pytest.mark.postgres
async def test_no_column_is_wider_in_one_database(
    tmp_path: Path, empty_postgres: Callable[[], str]
) -> None:
    embedded = await widths(f"sqlite:///{tmp_path}/a.db")
    assert {column.table.name for column in _columns()} == {table for table, _ in embedded}
    assert wider(embedded, await widths(empty_postgres())) == []


def test_each_declared_type_is_one_that_both_hold_alike() -> None:
    """Also where no PostgreSQL is at hand: what it would make of each declaration."""
    for column in _columns():
        kinds = (
            _SQLITE.get(column.type.compile(sqlite.dialect()).upper()),
            _POSTGRES.get(column.type.compile(postgresql.dialect()).lower()),
        )
        assert kinds[0] == kinds[1] is not None, f"{column}: {column.type!r} is {kinds}"


def test_a_narrower_column_is_named() -> None:
    there, here = {("a", "n"): "64 bits"}, {("a", "n"): _POSTGRES.get("integer", "32 bits")}
    assert wider(there, here) == ["a.n: 64 bits and 32 bits"]
    assert wider(there, {}) == ["a.n: 64 bits and None"]


async def test_the_largest_numbers_come_back(database: Database) -> None:
    """Every whole-number column, filled to its 64th bit."""
    most = 2**63 - 1
    for table in METADATA.sorted_tables:
        row = {column.name: _filling(column, most) for column in table.columns}
        async with database.begin() as unit:
            await unit.write(sa.insert(table).values(row))
            await unit.commit()
        async with database.begin() as unit:
            stored = (await unit.read(sa.select(table))).mappings().one()
        assert dict(stored) == row, table.name


def _columns() -> list[sa.Column[object]]:
    return [column for table in METADATA.sorted_tables for column in table.columns]


def _filling(column: sa.Column[object], most: int) -> object:
    if isinstance(column.type, sa.Integer):
        return most
    return b"\xff\x00" if isinstance(column.type, sa.LargeBinary) else "x"
