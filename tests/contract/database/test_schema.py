"""The schema: migrations and tables agree, and what cannot be opened is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from secureflow.adapters.database.connections import WriteTurn
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.tables import METADATA
from secureflow.adapters.database.unit import SqlUnitOfWork
from secureflow.domain.organisations import Organisation
from secureflow.kit.errors import SecureFlowError


async def test_the_migrations_make_exactly_the_tables(database: Database) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, METADATA))

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


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
