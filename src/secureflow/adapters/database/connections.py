"""Engines by URL, how a SQLite connection is prepared, and whose turn it is to write."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from secureflow.adapters.database.damage import decoded
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.heldfile import HeldFile
from secureflow.kit.text import Text

BUSY_SECONDS = 30.0
"""How long a writer waits for another one before it says `database_busy`."""
_SWITCH_SECONDS = 2.0
"""How long an opening waits for another one that makes the same new file."""

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


class WriteTurn:
    """The one writer's turn over SQLite; over PostgreSQL, which locks rows, nobody waits.

    Waiting here is fair and prompt. SQLite's own busy handler sleeps in steps of up to 100 ms; it
    is left to other processes on the same file.
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
        """Return the error that says so."""
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
    """Return a URL as people may see it: a password may stand in its query too."""
    return url.difference_update_query(("password",)).render_as_string()


def held_file(url: URL) -> HeldFile:
    """Return the file of a SQLite database; over PostgreSQL nothing is looked at."""
    name = url.database if url.get_backend_name() == "sqlite" else None
    path = Path(name) if name and name != ":memory:" and not name.startswith("file:") else None
    return HeldFile(path, InfrastructureError)


def async_engine(url: URL, file: HeldFile | None = None) -> AsyncEngine:
    """Return the engine that the event loop uses."""
    # No error text, and so no log, ever quotes what was to be stored.
    # A service that was restarted has closed the pooled connections: each is asked before use.
    stale = url.get_backend_name() != "sqlite"
    engine = create_async_engine(
        url, hide_parameters=True, pool_pre_ping=stale, connect_args=_spoken_to(url)
    )
    sa.event.listen(engine.sync_engine, "handle_error", _forget_rows)
    sa.event.listen(engine.sync_engine, "connect", _PREPARE[engine.dialect.name])
    _open_only(engine.sync_engine, file or held_file(url))
    return engine


def sync_engine(url: URL, file: HeldFile | None = None) -> sa.Engine:
    """Return a blocking engine on the same database, for one thread of its own.

    Compiled statements take their parameters by name over both drivers.
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
    """Open a file that is held, and no other that lies in its place; make none there."""
    if file.uri is None:
        return

    def opened(_dialect: Any, _record: Any, names: list[Any], how: dict[str, Any]) -> None:
        file.check()
        names[0], how["uri"] = file.uri, True

    sa.event.listen(engine, "do_connect", opened)
    sa.event.listen(engine, "connect", lambda *_: file.check())


def _spoken_to(url: URL) -> dict[str, str]:
    """Return how a connection is opened, but for what the operator's URL says.

    Text is Unicode whatever the service was set up with. A machine that is gone (its power, its
    network) says nothing: the kernel asks it after a while, or a statement waits for two hours.
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
    """Return what a driver says without the row that it says it about.

    PostgreSQL adds to a refused row what stood in it ("Failing row contains …"): a leaf's bytes,
    its document and its salt.
    """
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return str(primary or error)


def forget_rows(error: BaseException) -> None:
    """Take the row out of a driver's error, so that no log and no screen ever shows it."""
    if getattr(getattr(error, "diag", None), "message_primary", None):
        error.args = (spoken(error),)


def _forget_rows(context: sa.engine.ExceptionContext) -> None:
    error, text = context.sqlalchemy_exception, str(context.original_exception)
    forget_rows(context.original_exception)
    if error is not None:
        error.args = (error.args[0].replace(text, str(context.original_exception)), *error.args[1:])


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions by itself: the unit of work says when one is needed.
    connection.isolation_level = None
    # A text that is no UTF-8 any more must not break the reading of every row beside it.
    getattr(connection, "driver_connection", connection).text_factory = decoded
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
    _use_wal(connection, cursor)
    for pragma in (
        "synchronous=FULL",
        "cache_size=-4000",
        "wal_autocheckpoint=4000",  # pages: 16 MiB; each checkpoint is a second sync
        "journal_size_limit=16777216",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(connection: Any, cursor: Any) -> None:
    """Use the write-ahead log, after whoever switches the same new file to it at this moment.

    SQLite asks no busy handler here: two that switch hold what the other waits for, and one of
    them is told so at once.
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
    else:  # SQLAlchemy's stand-in for an asyncio driver: the event loop goes on meanwhile
        connection.run_async(lambda _: asyncio.sleep(seconds))


def _prepare_postgres(connection: Any, _record: Any) -> None:
    # Somebody who holds a table (maintenance, a dump) is not waited for without end; a pooler
    # between refuses this as an option of the connection, and takes it as a statement.
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"SET lock_timeout = {int(BUSY_SECONDS * 1000)}")
    connection.commit()


_PREPARE = {"sqlite": _prepare_sqlite, "postgresql": _prepare_postgres}
