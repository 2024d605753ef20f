"""A database as text: a snapshot of every table, in files that either database can load.

A dump is read in one transaction (SQLite: a read snapshot; PostgreSQL: REPEATABLE READ), so it is
consistent while a platform runs, and does not block writers. Each table is a file of JSON lines:
first its columns, then its rows, bytes as {"b": base64}. It is loaded into an empty database with
exactly the schema that it was read from, which is then migrated as on any start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from secureflow.adapters.database.connections import sync_engine
from secureflow.adapters.database.engine import Database, migrate
from secureflow.adapters.database.faults import fault_of
from secureflow.adapters.database.schema import HISTORY
from secureflow.adapters.database.tables import PASSING
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

T = TypeVar("T")
_KINDS: Final = ((sa.LargeBinary, bytes), (sa.Integer, int), (sa.String, str))
"""The types of the columns. SQLite stores whatever it is given, and a number for bytes would be
read as that many zero bytes."""
_ROWS: Final = 500
_LONGEST: Final = 256 << 20
"""Maximum characters of a row: with the answers of hundreds of parties it has some megabytes."""
_LEAP: Final = 1_000_000
"""Event ids to skip: a watcher may have seen some that a restore has lost."""


@dataclass(frozen=True)
class Dump:
    """What was written: the schema's revision, and the tables with their numbers of rows."""

    revision: str
    tables: Mapping[str, int]


def dump(database: Database, directory: Path) -> Dump:
    """Write `directory/<table>` for every table; blocking, so do not call it on the event loop.

    Raises:
        SecureFlowError: `record_missing` if there is no schema.
        sqlalchemy.exc.SQLAlchemyError: the database failed.
    """
    with _reading(database) as connection:
        names = sorted(sa.inspect(connection).get_table_names())
        if HISTORY not in names:
            raise SecureFlowError(
                "record_missing",
                Text("The database {name} holds no centre.", name=database.name),
                "Correct `database` in server.yaml.",
            )
        history = sa.table(HISTORY, sa.column("version_num"))
        revision = connection.execute(sa.select(history.c.version_num)).scalar_one()
        tables = {
            name: _write(connection, name, directory / name)
            for name in names
            if name not in {HISTORY, *PASSING} and not name.startswith("sqlite_")
        }
    return Dump(str(revision), tables)


async def load(
    database: Database, directory: Path, dump: Dump, check: Callable[[sa.Connection], T]
) -> T:
    """Fill an empty database from a dump, and bring it to this version's schema.

    Args:
        database: empty.
        directory: the folder of the tables' files.
        dump: the expected content of the dump.
        check: verifies the loaded data; if it raises, the database stays empty.

    Raises:
        SecureFlowError: `database_newer`, `backup_unreadable` for a dump that does not fit.
        sqlalchemy.exc.SQLAlchemyError: the database failed.
    """
    async with database.reached(), database.engine.connect() as connection:
        await connection.run_sync(migrate, dump.revision)
        await connection.run_sync(_fill_all, directory, dump)
        checked = await connection.run_sync(check)
        await connection.commit()
    await database.start()
    return checked


@contextmanager
def _reading(database: Database) -> Iterator[sa.Connection]:
    engine = sync_engine(database.url)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901
            yield connection
            connection.rollback()
    finally:
        engine.dispose()


def _write(connection: sa.Connection, name: str, path: Path) -> int:
    columns = [column["name"] for column in sa.inspect(connection).get_columns(name)]
    table = sa.table(name, *map(sa.column, columns))
    count = 0
    with path.open("w") as file:
        file.write(json.dumps(columns) + "\n")
        streaming = connection.execution_options(stream_results=True, yield_per=_ROWS)
        for row in streaming.execute(sa.select(table)):
            file.write(json.dumps([_plain(value) for value in row]) + "\n")
            count += 1
    return count


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, memoryview)):
        return {"b": b64encode(bytes(value))}
    return value


def _fill_all(connection: sa.Connection, directory: Path, dump: Dump) -> None:
    try:
        _fill(connection, directory, dump)
    except (sa.exc.StatementError, OverflowError) as error:
        if fault_of(error) is not None:
            raise
        raise _unfit("a row breaks a rule of its table") from error


def _fill(connection: sa.Connection, directory: Path, dump: Dump) -> None:
    there = set(sa.inspect(connection).get_table_names()) - {HISTORY}
    if not set(dump.tables) <= there:
        strange = ", ".join(sorted(set(dump.tables) - there))
        raise _unfit(
            Text("it has tables that its version does not know ({strange})", strange=strange[:200])
        )
    for name, count in dump.tables.items():
        _fill_table(connection, name, directory / name, count)
    _skip_events(connection)


def _fill_table(connection: sa.Connection, name: str, path: Path, count: int) -> None:
    known = {
        column["name"]: next((of for kind, of in _KINDS if isinstance(column["type"], kind)), None)
        for column in sa.inspect(connection).get_columns(name)
    }
    with path.open(encoding="ascii", errors="replace") as file:  # nothing else was written
        columns = _line(name, file.readline(_LONGEST))
        if not all(isinstance(one, str) for one in columns) or not set(columns) <= known.keys():
            raise _unfit(
                Text("the table {name} has columns that its version does not know", name=name)
            )
        kinds = [known[column] for column in columns]
        insert = sa.insert(sa.table(name, *map(sa.column, columns)))
        rows: list[dict[str, Any]] = []
        filled = 0
        while line := file.readline(_LONGEST):
            values = _line(name, line)
            if len(values) != len(columns):
                raise _unfit(
                    Text("a row of the table {name} has another number of columns", name=name)
                )
            values = [_value(name, *pair) for pair in zip(values, kinds, strict=True)]
            rows.append(dict(zip(columns, values, strict=True)))
            if len(rows) == _ROWS:
                filled += _insert(connection, insert, rows)
        filled += _insert(connection, insert, rows)
    if filled != count:
        raise _unfit(
            Text(
                "the table {name} has {filled} rows instead of {count}",
                name=name,
                filled=filled,
                count=count,
            )
        )


def _insert(connection: sa.Connection, insert: sa.Insert, rows: list[dict[str, Any]]) -> int:
    count = len(rows)
    if rows:
        connection.execute(insert, rows)
        rows.clear()
    return count


def _line(name: str, line: str) -> Sequence[Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list) or not line.endswith("\n"):
        raise _unfit(Text("a line of the table {name} is not a JSON list", name=name))
    return value


def _value(name: str, value: Any, kind: type | None) -> Any:
    if value is None:
        return None
    try:
        if isinstance(value, dict):
            value = b64decode(value["b"])
        elif isinstance(value, str):
            value.encode()  # a lone surrogate is not valid text
    except (KeyError, TypeError, UnicodeError, SecureFlowError) as error:
        raise _unfit(Text("a row of the table {name} cannot be read", name=name)) from error
    if type(value) is not kind:
        raise _unfit(
            Text("a row of the table {name} has a value that does not fit its column", name=name)
        )
    return value


def _skip_events(connection: sa.Connection) -> None:
    """Let new rows get unused ids: watchers continue after the last one that they saw."""
    if connection.dialect.name == "sqlite":
        _leap_sqlite(connection)
        return
    for table, column, leap in (
        ("events", "id", _LEAP),
        ("notifications", "id", _LEAP),
        ("log_submissions", "arrival", 1),
    ):
        if not sa.inspect(connection).has_table(table):  # a dump of an older version
            continue
        newest: sa.Select[Any] = sa.select(
            sa.func.coalesce(sa.func.max(sa.column(column)), 0) + leap
        )
        sequence = sa.func.pg_get_serial_sequence(table, column)
        start = newest.select_from(sa.table(table)).scalar_subquery()
        connection.execute(sa.select(sa.func.setval(sequence, start)))


def _leap_sqlite(connection: sa.Connection) -> None:
    sequence = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
    for name in ("events", "notifications"):
        changed = sa.update(sequence).where(sequence.c.name == name)
        if not connection.execute(changed.values(seq=sequence.c.seq + _LEAP)).rowcount:
            connection.execute(sa.insert(sequence).values(name=name, seq=_LEAP))


def _unfit(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "backup_unreadable",
        Text("The backup's database cannot be loaded: {reason}.", reason=reason),
        "Use another backup; nothing was restored.",
    )
