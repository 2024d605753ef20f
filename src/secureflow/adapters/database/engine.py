"""The database by URL: SQLite (the embedded default) or PostgreSQL, migrated on start.

Isolation is the same over both: each read sees what is committed (READ COMMITTED), the first write
of a unit of work takes the write lock (SQLite: `BEGIN IMMEDIATE`), and an entity that changed since
this unit of work read it is refused (`stale_version`). A reader never blocks a writer.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from secureflow.adapters.database import schema
from secureflow.adapters.database.connections import (
    WriteTurn,
    async_engine,
    driver_url,
    held_file,
    shown_url,
)
from secureflow.adapters.database.damage import DamageLog
from secureflow.adapters.database.faults import fault_of, typed_faults
from secureflow.adapters.database.integrity import (
    DRIVER_ERRORS,
    damage_of,
    refuse_half,
    refuse_missing,
)
from secureflow.adapters.database.migrating import migrated
from secureflow.adapters.database.openerrors import START_SECONDS, check_encoding, open_error
from secureflow.adapters.database.tables import SETTINGS
from secureflow.adapters.database.unit import SqlUnitOfWork
from secureflow.kit.commandline import install_hint
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.privatefiles import keep_private
from secureflow.kit.text import Text

_SCRIPTS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x5EC0F10
LOCK_SECONDS = 5.0
"""How long a migration waits for a table: whoever reads it then waits behind the migration."""
AT_ONCE_SECONDS = 0.25
"""How long it waits for a file, before the log says that it does."""
_CLOSED = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.ProgrammingError)
"""The last: no right to create tables (since PostgreSQL 15 the owner's), or others' exist."""
_CHECKPOINT_SECONDS = 1.0
"""How long a checkpoint waits for readers; the next one does the rest."""
_PROBE = "write probe"
_PROBE_CHARACTERS = 1 << 16
"""More than the free pages can hold: as large as what a job records."""


class Database:
    """One database: `await start()`, then `begin()` as often as needed, then `await close()`.

    Args:
        url: `sqlite:///path/to/file` or `postgresql://user@host/name`.

    Raises:
        SecureFlowError: `invalid_database_url`, `library_missing`.
    """

    def __init__(self, url: str) -> None:
        self.url = driver_url(url)
        try:
            self.file = held_file(self.url)
            self.engine = async_engine(self.url, self.file)
        except ImportError as error:
            raise SecureFlowError(
                "library_missing",
                Text(
                    "The driver of {backend} databases is not installed.",
                    backend=self.url.get_backend_name(),
                ),
                install_hint("postgres"),
            ) from error
        self.turn = WriteTurn(exclusive=self.url.get_backend_name() == "sqlite")
        self._started = False
        self.damage = DamageLog()
        self.on_change: Callable[[], None] = lambda: None
        """Called after a commit of something that open pages follow."""

    @property
    def fault(self) -> SecureFlowError | None:
        """Why this database cannot be used until a person acts: its file is gone, or damaged."""
        return self.file.fault or self.damage.fault

    @property
    def name(self) -> str:
        """The URL for people, without the password."""
        return shown_url(self.url)

    async def start(self) -> None:
        """Migrate the schema to this version, or wait for another process that does so.

        Raises:
            SecureFlowError: `database_newer` if a later version has already migrated it;
                `database_encoding`; `database_busy` if the wait was in vain; those of `reached`.
        """
        async with self.reached():
            if self.url.get_backend_name() == "sqlite" and self.url.database:
                keep_private(Path(self.url.database))
            await migrated(self._migrate, self.name)
            self.file.hold()
        self._started = True

    async def _migrate(self) -> bool:
        async with self.engine.connect() as connection:
            await connection.run_sync(check_encoding, self.name)
            try:
                done = await connection.run_sync(migrate)
            except sa.exc.DBAPIError as error:
                fault, file = fault_of(error), connection.dialect.name == "sqlite"
                if file or fault is None or fault.code != "database_busy":
                    raise
                await connection.rollback()  # another session holds a table
                return False
            await connection.commit()
        return done

    @asynccontextmanager
    async def reached(self) -> AsyncIterator[None]:
        """Explain why the database cannot be opened, if the block fails to.

        Raises:
            InfrastructureError: `database_unavailable`, `database_busy`, `disk_full`, if it is
                temporary.
            SecureFlowError: `database_unavailable` if it is not; `record_damaged`.
        """
        try:
            yield
        except (*DRIVER_ERRORS, SecureFlowError) as error:
            what = damage_of(error)
            if what is not None:
                raise self._damaged(what) from error
            if not isinstance(error, (*_CLOSED, OSError)):
                raise
            path = self.file.path
            raise open_error(self.name, error, path.parent if path else None) from error

    def _damaged(self, what: str) -> SecureFlowError:
        return SecureFlowError(
            "record_damaged",
            Text("The database {name} is damaged: {what}.", name=self.name, what=what),
            "secureflow server check lists everything that is damaged; restore the newest backup.",
        )

    def begin(self) -> SqlUnitOfWork:
        """Return a fresh unit of work for `async with`."""
        told = self.on_change
        return SqlUnitOfWork(self.engine, self.turn, self.damage, self.file, told)

    async def try_writing(self) -> None:
        """Write a row, remove it and commit: that fails on a full or read-only disk.

        Raises:
            InfrastructureError: why nothing can be written now.
        """
        async with self.begin() as unit:
            row = {"name": _PROBE, "version": 1, "value": "x" * _PROBE_CHARACTERS}
            await unit.insert_once(SETTINGS, row)
            await unit.write(sa.delete(SETTINGS).where(SETTINGS.c.name == _PROBE))
            await unit.commit()

    async def checkpoint(self, mode: str = "PASSIVE") -> None:
        """Checkpoint a SQLite file's write-ahead log, without blocking readers and writers.

        SQLite does so automatically only when a commit finds 4000 pages in the log, so all data of
        a small platform would stay in the log. PostgreSQL needs no help.

        Raises:
            InfrastructureError: of its disk, or another process that uses it.
        """
        if not self.turn.exclusive:
            return
        with typed_faults():
            async with self.engine.connect() as connection:
                await connection.run_sync(_checkpoint, mode)

    async def lost(self) -> bool:
        """Tell whether a SQLite file is gone from its place; if so, save a copy of the open one."""
        return await self.file.lost(self._save)

    async def _save(self, target: sqlite3.Connection) -> None:
        with typed_faults():
            async with self.engine.connect() as connection:
                # The current writer ends first; later ones are refused.
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
                await connection.exec_driver_sql("ROLLBACK")
                raw: Any = (await connection.get_raw_connection()).driver_connection
                await raw.backup(target)

    async def close(self) -> None:
        """Checkpoint a SQLite file completely, and close every connection."""
        try:
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # a full disk: it stays in the log
                if self._started:
                    await self.checkpoint("TRUNCATE")
        finally:
            await self.engine.dispose()


def _checkpoint(connection: sa.Connection, mode: str) -> None:
    with _busy_timeout(connection, _CHECKPOINT_SECONDS):
        connection.exec_driver_sql(f"PRAGMA wal_checkpoint({mode})")


@contextmanager
def _busy_timeout(connection: sa.Connection, most: float) -> Iterator[None]:
    """Limit the wait for another writer inside the block; restore it afterwards in any case.

    The connection goes back to the pool, and its next user must wait as usual.
    """
    wait = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql(f"PRAGMA busy_timeout={min(wait, int(most * 1000))}")
    try:
        yield
    finally:
        if not connection.invalidated:  # otherwise it is closed, not returned to the pool
            connection.exec_driver_sql(f"PRAGMA busy_timeout={wait}")


def migrate(connection: sa.Connection, to: str = "head") -> bool:
    """Bring the schema to this version in one exclusive transaction; the caller commits.

    Returns:
        False, and nothing is done, while another process seems to migrate.

    Raises:
        SecureFlowError: `database_newer`, `record_damaged`.
    """
    if to == "head" and connection.dialect.name != "sqlite" and _is_current(connection):
        refuse_missing(connection)  # whoever holds the lock, there is nothing to wait for
        return True
    if not _is_turn(connection):
        return False
    if to == "head" and _is_current(connection):
        connection.rollback()  # several servers may be started again at once: none waits
        refuse_missing(connection)
        return True
    found = refuse_half(connection)
    if to != "head":
        _run_steps(connection, to)
        return True
    if found is None:
        schema.create(connection)
    else:
        _run_steps(connection, to)
    refuse_missing(connection)
    return True


def _run_steps(connection: sa.Connection, to: str) -> None:
    """Run the missing migrations. Alembic takes an eighth of a second to import."""
    from alembic import command
    from alembic.config import Config
    from alembic.script.revision import ResolutionError
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, to)
    except (CommandError, ResolutionError) as error:
        raise SecureFlowError(
            "database_newer",
            "The database was migrated by a later version of SecureFlow than this one.",
            "Run that version, or restore the backup that was made before the upgrade.",
        ) from error


def _is_turn(connection: sa.Connection) -> bool:
    """Begin a migration's transaction; return false while another process seems to be in one.

    A SQLite file that is locked without any need to migrate it is told as such, by the driver.
    """
    if connection.dialect.name != "sqlite":
        # A migration may take long, but not because a session that does nothing holds a table:
        # that is waited for outside of it, aloud.
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(LOCK_SECONDS * 1000)}")
        lock = sa.select(sa.func.pg_try_advisory_xact_lock(_MIGRATION_LOCK))
        return bool(connection.execute(lock).scalar_one())
    current = _is_current(connection)  # before: the other process may end just when we give up
    try:
        with _busy_timeout(connection, START_SECONDS if current else AT_ONCE_SECONDS):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
    except sa.exc.OperationalError as error:
        fault = fault_of(error)
        if current or fault is None or fault.code != "database_busy":
            raise
        return False
    return True


def _is_current(connection: sa.Connection) -> bool:
    """Tell whether a database has this version's schema, by its history."""
    if schema.HISTORY not in sa.inspect(connection).get_table_names():
        return False
    return schema.versions_of(connection) == [schema.NEWEST]
