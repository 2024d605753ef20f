"""The schema: migrations and tables agree, and what cannot be opened is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from secureflow.adapters.database import engine, migrations, schema
from secureflow.adapters.database.connections import WriteTurn, driver_url, sync_engine
from secureflow.adapters.database.engine import Database, migrate
from secureflow.adapters.database.tables import METADATA
from secureflow.adapters.database.unit import SqlUnitOfWork
from secureflow.domain.organisations import Organisation
from secureflow.kit.errors import SecureFlowError

_POSTGRES = (
    (
        "SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity"
        " FROM information_schema.columns WHERE table_schema = current_schema()"
    ),
    "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = current_schema()",
    (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = current_schema()::regnamespace"
    ),
    "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT relname, relkind FROM pg_class WHERE relnamespace = current_schema()::regnamespace",
)
_SQLITE = (
    (
        'SELECT m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk'
        " FROM sqlite_master m, pragma_table_xinfo(m.name) c WHERE m.type = 'table'"
    ),
    (
        "SELECT m.name, i.\"unique\", i.origin, i.partial, iif(i.origin = 'c', i.name, ''),"
        " (SELECT group_concat(name) FROM pragma_index_info(i.name))"
        " FROM sqlite_master m, pragma_index_list(m.name) i WHERE m.type = 'table'"
    ),
    "SELECT m.name, f.* FROM sqlite_master m, pragma_foreign_key_list(m.name) f",
    (
        "SELECT type, name, iif(type = 'index', sql, ''), sql LIKE '%AUTOINCREMENT%'"
        " FROM sqlite_master WHERE name NOT LIKE 'sqlite_autoindex%'"
    ),
)


def shape(connection: sa.Connection) -> set[tuple[object, ...]]:
    """Return what a database has, but for the order of its columns."""
    queries = _SQLITE if connection.dialect.name == "sqlite" else _POSTGRES
    return {tuple(row) for query in queries for row in connection.exec_driver_sql(query)}


@pytest.fixture
def stepped(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> Iterator[sa.Connection]:
    """An empty database that every migration was run on, one after the other."""
    if url.startswith("sqlite"):
        (tmp_path / "stepped.db").touch()
        url = f"sqlite:///{tmp_path}/stepped.db"
    else:
        url = request.getfixturevalue("empty_postgres")()
    engine = sync_engine(driver_url(url))
    with engine.connect() as connection:
        migrate(connection, schema.NEWEST)
        yield connection
    engine.dispose()


async def test_a_new_database_is_what_the_migrations_would_make(
    database: Database, stepped: sa.Connection
) -> None:
    async with database.engine.connect() as connection:
        at_once = await connection.run_sync(shape)
    assert len(at_once) > len(METADATA.tables)
    assert at_once ^ shape(stepped) == set()
    assert schema.versions_of(stepped) == [schema.NEWEST]


def test_the_migrations_make_exactly_the_tables(stepped: sa.Connection) -> None:
    context = MigrationContext.configure(stepped, opts={"compare_type": True})
    assert list(compare_metadata(context, METADATA)) == []


def test_the_newest_schema_is_that_of_the_last_migration() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__path__[0])))
    assert scripts.get_current_head() == schema.NEWEST


async def test_a_database_that_has_this_version_is_not_migrated(
    database: Database, another: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_run_steps", None)
    monkeypatch.setattr(schema, "create", None)
    await another().start()


async def test_a_schema_of_a_later_version_is_left_alone(
    database: Database, another: Callable[[], Database]
) -> None:
    async with database.begin() as unit:
        await unit.write(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        await unit.commit()
    with pytest.raises(SecureFlowError) as caught:
        await another().start()
    assert caught.value.code == "database_newer"


async def test_sqlite_waits_for_the_disk(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    await database.start()
    async with database.engine.connect() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2)):
            result = await connection.exec_driver_sql(f"PRAGMA {pragma}")
            assert result.scalar_one() == value
    await database.close()


async def test_a_writer_that_holds_on_is_named_not_waited_for_for_ever(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    await database.start()
    turn = WriteTurn(exclusive=True, seconds=0.05)
    async with SqlUnitOfWork(database.engine, turn) as first:
        await first.organisations.add(Organisation("bank-a", "A", 1))
        async with SqlUnitOfWork(database.engine, turn) as second:
            with pytest.raises(SecureFlowError) as caught:
                await second.organisations.add(Organisation("bank-b", "B", 1))
            assert caught.value.code == "database_busy"
            with pytest.raises(SecureFlowError):
                await second.commit()
        await first.commit()
    await database.close()


@pytest.mark.parametrize("url", ["", "x", "mysql://h/d", "sqlite+pysqlite:///x", "oracle://"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        Database(url)
    assert caught.value.code == "invalid_database_url"


@pytest.mark.parametrize(
    "url", ["sqlite:////nonexistent/dir/a.db", "postgresql://u:secret@/d?host=/nonexistent"]
)
async def test_a_database_that_is_not_there_is_said_without_its_password(url: str) -> None:
    database = Database(url)
    with pytest.raises(SecureFlowError) as caught:
        await database.start()
    assert caught.value.code == "database_unavailable"
    assert "secret" not in str(caught.value)
    await database.close()
