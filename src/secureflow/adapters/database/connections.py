"""Engines by URL, the set-up of SQLite connections, and the turns of writers."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from secureflow.adapters.database import sqlitecursors
from secureflow.adapters.database.damage import decoded
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.heldfile import HeldFile
from secureflow.kit.text import Text

BUSY_SECONDS = 30.0
"""How long a writer waits for another one before `database_busy`."""
_SWITCH_SECONDS = 2.0
"""How long opening waits for another process that creates the same new file."""

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


class WriteTurn:
    """The write turn over SQLite; over PostgreSQL, which locks rows, nobody waits.

    Waiting here is fair and prompt. SQLite's own busy handler sleeps in steps of up to 100 ms; it
    is used only for other processes on the same file.
    """

    def __init__(self, *, exclusive: bool, seconds: float = BUSY_SECONDS) -> None:
        self.exclusive = exclusive
        self._seconds = seconds
        self._lock = asyncio.Lock()

    async def acquire(self) -> None:
        """Wait for the turn.

        Raises:
            InfrastructureError: `database_busy` after too long.
        """
        if not self.exclusive:
            return
        try:
            async with asyncio.timeout(self._seconds):
                await self._lock.acquire()
        except TimeoutError:
            raise self.busy() from None

    def release(self) -> None:
        """Let the next one write."""
        if self.exclusive:
            self._lock.release()

    def busy(self) -> InfrastructureError:
        """Return the `database_busy` error."""
        return InfrastructureError(
            "database_busy",
            Text(
                "The database was locked by another writer for {seconds:g} s.",
                seconds=self._seconds,
            ),
            "Try again; if it persists, look for another process on the same database file.",
        )


def driver_url(text: str) -> URL:
    """Return the URL with the driver that this adapter uses.

    Raises:
        SecureFlowError: `invalid_database_url`.
    """
    try:
        url = make_url(text)
        return url.set(drivername=_DRIVERS[url.drivername])
    except (sa.exc.ArgumentError, KeyError, ValueError) as error:
        raise SecureFlowError(
            "invalid_database_url",
            "The database URL is neither sqlite:///FILE nor postgresql://USER@HOST/NAME.",
            "Correct `database` in the server's settings.",
        ) from error


def shown_url(url: URL) -> str:
    """Return a database's name for people: a file's path, else the URL without the password.

    A password may be in its query too.
    """
    if url.get_backend_name() == "sqlite" and url.database:
        return url.database
    return url.difference_update_query(("password",)).render_as_string()


def held_file(url: URL) -> HeldFile:
    """Return the file of a SQLite database; for PostgreSQL one that checks nothing."""
    name = url.database if url.get_backend_name() == "sqlite" else None
    path = Path(name) if name and name != ":memory:" and not name.startswith("file:") else None
    return HeldFile(path, InfrastructureError)


def async_engine(url: URL, file: HeldFile | None = None) -> AsyncEngine:
    """Return the engine that the event loop uses."""
    # No error text, and so no log, ever quotes the values to be stored. A restarted service has
    # closed the pooled connections: each is tested before use.
    stale = url.get_backend_name() != "sqlite"
    how: dict[str, Any] = {} if stale else {"async_creator_fn": sqlitecursors.connect}
    engine = create_async_engine(
        url, hide_parameters=True, pool_pre_ping=stale, connect_args={**_spoken_to(url), **how}
    )
    sa.event.listen(engine.sync_engine, "handle_error", _forget_rows)
    sa.event.listen(engine.sync_engine, "connect", _PREPARE[engine.dialect.name])
    _open_only(engine.sync_engine, file or held_file(url))
    return engine


def sync_engine(url: URL, file: HeldFile | None = None) -> sa.Engine:
    """Return a blocking engine on the same database, for use by one thread.

    Compiled statements take their parameters by name with both drivers.
    """
    if url.get_backend_name() != "sqlite":
        engine = sa.create_engine(
            url,
            pool_size=1,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args=_spoken_to(url),
        )
        sa.event.listen(engine, "connect", _prepare_postgres)
        return engine
    url = url.set(drivername="sqlite+pysqlite")
    engine = sa.create_engine(
        url,
        pool_size=1,
        max_overflow=0,
        pool_reset_on_return=None,
        paramstyle="named",
        hide_parameters=True,
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    _open_only(engine, file or held_file(url))
    return engine


def _open_only(engine: sa.Engine, file: HeldFile) -> None:
    """Open the file that is held, never another one in its place; do not create one."""
    if file.uri is None:
        return

    def opened(_dialect: Any, _record: Any, names: list[Any], how: dict[str, Any]) -> None:
        file.check()
        if file.path is not None and file.path.is_dir():  # SQLite only says that it cannot
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file.path))
        names[0], how["uri"] = file.uri, True

    sa.event.listen(engine, "do_connect", opened)
    sa.event.listen(engine, "connect", lambda *_: file.check())


def _spoken_to(url: URL) -> dict[str, str]:
    """Return connection options, which the operator's URL may override.

    Text is Unicode, whatever the service's default. A machine that is gone (power, network) does
    not answer: without keepalives a statement would wait for two hours.
    """
    if url.get_backend_name() == "sqlite":
        return {}
    wanted = {
        "client_encoding": "utf8",
        "connect_timeout": "10",  # seconds
        "keepalives_idle": "10",  # seconds
        "keepalives_interval": "5",  # seconds
        "keepalives_count": "4",
        "tcp_user_timeout": "30000",  # milliseconds
    }
    return {name: value for name, value in wanted.items() if name not in url.query}


def spoken(error: BaseException | None) -> str:
    """Return a driver's message without the row that it is about.

    PostgreSQL quotes the content of a refused row ("Failing row contains …"): a leaf's bytes, its
    document and its salt.
    """
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return str(primary or error)


def forget_rows(error: BaseException) -> None:
    """Remove the row from a driver's error, so that no log and no screen ever shows it."""
    if getattr(getattr(error, "diag", None), "message_primary", None):
        error.args = (spoken(error),)


def roll_back(engine: sa.Engine, connection: sa.PoolProxiedConnection) -> None:
    """Undo a transaction; with a connection that is lost it is over anyhow.

    Such a connection is thrown away: the pool would roll it back again, fail, and log the trace.
    """
    try:
        connection.rollback()
    except engine.dialect.loaded_dbapi.Error as lost:
        connection.invalidate(lost)


def _forget_rows(context: sa.engine.ExceptionContext) -> None:
    error, text = context.sqlalchemy_exception, str(context.original_exception)
    forget_rows(context.original_exception)
    if error is not None:
        error.args = (error.args[0].replace(text, str(context.original_exception)), *error.args[1:])


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions by itself: the unit of work decides when.
    connection.isolation_level = None
    # A text that is no longer UTF-8 must not prevent reading other rows.
    getattr(connection, "driver_connection", connection).text_factory = decoded
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
    _use_wal(connection, cursor)
    for pragma in (
        "synchronous=FULL",
        "cache_size=-4000",
        "wal_autocheckpoint=4000",  # pages: 16 MiB; each checkpoint is a second sync
        "journal_size_limit=16777216",
        "secure_delete=FAST",  # what is erased from a page that is written is overwritten there
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(connection: Any, cursor: Any) -> None:
    """Use the write-ahead log, waiting for others that switch the same new file to it right now.

    SQLite does not call the busy handler here: two that switch would deadlock, so one of them fails
    at once.
    """
    end = time.monotonic() + _SWITCH_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > end:
                raise
            _pause(connection, 0.01)
        else:
            return


def _pause(connection: Any, seconds: float) -> None:
    if isinstance(connection, sqlite3.Connection):
        time.sleep(seconds)
    else:  # SQLAlchemy's adapter for an asyncio driver: the event loop continues meanwhile
        connection.run_async(lambda _: asyncio.sleep(seconds))


def _prepare_postgres(connection: Any, _record: Any) -> None:
    # Do not wait forever for a lock on a table (maintenance, a dump); connection poolers refuse
    # this as a connection option, but accept it as a statement.
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"SET lock_timeout = {int(BUSY_SECONDS * 1000)}")
    connection.commit()


_PREPARE = {"sqlite": _prepare_sqlite, "postgresql": _prepare_postgres}
