"""SQLite's cursors for the event loop: a statement and its rows in one visit to the thread.

aiosqlite has a thread for each connection, and visits it to make a cursor, to execute, to fetch and
to close. Each visit wakes two threads, which cost the server more than what it asked for: a job of
two rounds is about 400 statements.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from aiosqlite.core import Connection

_AT_ONCE: Final = 1000
"""Rows that are fetched with their statement; more of them when they are asked for."""


def connect(*arguments: Any, **options: Any) -> Any:
    """Return a connection to await, as `aiosqlite.connect`, with the cursors of this module."""

    def connector() -> Any:
        return sqlite3.connect(*arguments, **options)

    made = _Connection(connector, iter_chunk_size=64)
    made._thread.daemon = True  # as SQLAlchemy has it: it prevents no end of the process
    return made


class _Connection(Connection):
    async def _connect(self) -> Connection:
        """Connect; where that fails wait for the thread's end, which the loop may not outlive."""
        try:
            return await super()._connect()
        except sqlite3.Error:
            await asyncio.to_thread(self._thread.join)
            raise

    def cursor(self) -> Any:
        """Return a cursor, which costs nothing until it executes."""
        return _Cursor(self)

    async def rollback(self) -> None:
        """Roll back; units of work that only read have begun nothing."""
        if self._conn.in_transaction:
            await super().rollback()


class _Cursor:
    """What SQLAlchemy asks of a cursor of aiosqlite."""

    def __init__(self, connection: Connection) -> None:
        self._connection: Any = connection
        self._rows: deque[Any] = deque()
        self._open: sqlite3.Cursor | None = None
        """The cursor in the thread, while it has rows that were not fetched."""
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def execute(self, statement: str, parameters: Any = ()) -> Self:
        """Execute a statement, and fetch its first rows."""
        return await self._visit(lambda cursor: cursor.execute(statement, parameters))

    async def executemany(self, statement: str, parameters: Sequence[Any]) -> Self:
        """Execute a statement for each of several rows."""
        return await self._visit(lambda cursor: cursor.executemany(statement, parameters))

    async def fetchone(self) -> Any:
        """Return the next row, None after the last."""
        found = await self.fetchmany(1)
        return found[0] if found else None

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return the next rows."""
        wanted = self.arraysize if size is None else size
        if self._open is not None and len(self._rows) < wanted:
            await self._connection._execute(self._fetch, self._open, wanted)
        return [self._rows.popleft() for _ in range(min(wanted, len(self._rows)))]

    async def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        if self._open is not None:
            await self._connection._execute(self._fetch, self._open, None)
        rows = list(self._rows)
        self._rows.clear()
        return rows

    async def close(self) -> None:
        """Let go of what was not fetched."""
        self._rows.clear()
        if self._open is not None:
            cursor, self._open = self._open, None
            await self._connection._execute(cursor.close)

    async def _visit(self, execute: Callable[[sqlite3.Cursor], object]) -> Self:
        await self.close()
        await self._connection._execute(self._executed, execute)
        return self

    # In the thread.

    def _executed(self, execute: Callable[[sqlite3.Cursor], object]) -> None:
        cursor = self._connection._conn.cursor()
        try:
            execute(cursor)
            self.description, self.lastrowid = cursor.description, cursor.lastrowid
            if cursor.description:
                self._fetch(cursor, _AT_ONCE)
        except BaseException:  # whatever it is, the cursor must not stay open
            cursor.close()
            raise
        self.rowcount = cursor.rowcount
        if self._open is None:
            cursor.close()

    def _fetch(self, cursor: sqlite3.Cursor, most: int | None) -> None:
        """Fetch rows; keep the cursor if there may be more."""
        found = cursor.fetchall() if most is None else cursor.fetchmany(most)
        self._rows.extend(found)
        whole = most is None or len(found) < most
        self._open = None if whole else cursor
        if whole:
            cursor.close()
