"""One transaction, and the operations for its stores: read, write, insert once, lock.

Over SQLite reads run outside a transaction, each on the committed state, and the first write takes
the single write lock; over PostgreSQL READ COMMITTED does the same. Never wait for another unit of
work, or for the ledger, between a write and `commit`: over SQLite that is a deadlock, which ends in
`database_busy`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from secureflow.adapters.database.connections import WriteTurn
from secureflow.adapters.database.damage import DamageLog
from secureflow.adapters.database.faults import fault_of, typed_faults
from secureflow.adapters.database.noted import Noted, insert_noted, noted_rows
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.heldfile import HeldFile
from secureflow.kit.shielding import shielded

Row = Mapping[str, Any]


class SqlTransaction:
    """One transaction; leaving the block without `commit` rolls back."""

    def __init__(
        self,
        engine: AsyncEngine,
        turn: WriteTurn,
        damage: DamageLog | None = None,
        file: HeldFile | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.damage = damage or DamageLog()
        self.noted: Noted = {}
        self._on_change = on_change
        self._engine = engine
        self._turn = turn
        self._file = file or HeldFile(None, InfrastructureError)
        self._connection: AsyncConnection | None = None
        self._writing = False
        self._failure: SecureFlowError | None = None

    async def __aenter__(self) -> Self:
        """Take a connection from the pool.

        Raises:
            InfrastructureError: `database_unavailable`, `record_replaced`; the caller may try
                again.
        """
        self._file.check()
        with typed_faults(self.damage):
            connecting = self._engine.connect()
            self._connection = await shielded(connecting, AsyncConnection.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Roll back what was not committed and give the connection back.

        An unavailable database has rolled it back by itself: that is not a failure of the block.
        """
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                await shielded(_given_back(connection))
        finally:
            self._release()

    async def commit(self) -> None:
        """Make everything of this block durable.

        Raises:
            SecureFlowError: the failure of an earlier write of this block; a partial change is
                never committed.
            InfrastructureError: the database failed. If the connection was lost during the commit,
                its outcome is unknown: read before you repeat.
        """
        if self._failure is not None:
            raise self._failure
        noted, self.noted = self.noted, {}
        try:
            if noted:
                await self.write(insert_noted(self.single_writer), noted_rows(noted))
            with self._noted_faults():
                await shielded(self._open.commit())
        finally:
            self._release()
            if noted:
                self._on_change()

    async def read(
        self, query: sa.Select[Any], values: Mapping[str, Any] | None = None
    ) -> sa.Result[Any]:
        """Run a query on the committed state and this unit of work's own changes.

        Args:
            query: one that is made once, with `values` for its parameters, costs half as much.
            values: parameter to value.
        """
        with self._noted_faults():
            result: sa.Result[Any] = await shielded(self._open.execute(query, values))
        return result

    async def write(
        self, statement: sa.Executable, rows: Row | Sequence[Row] | None = None
    ) -> sa.CursorResult[Any]:
        """Run a change; the first one of this unit of work takes the write lock."""
        await self._begin_writing()
        try:
            with self._noted_faults():
                return await shielded(self._open.execute(statement, rows))
        except sa.exc.IntegrityError as error:
            raise self.fail(
                SecureFlowError(
                    "already_exists",
                    "What was to be stored conflicts with something that already exists.",
                    "Choose another name, or change the one that exists.",
                )
            ) from error

    async def insert_once(self, table: sa.Table, *rows: Row) -> int:
        """Insert rows whose keys are free and return their number.

        This way PostgreSQL does not abort the whole transaction because of a taken key.
        """
        result = await self.write(_inserting(table, self._engine.dialect.name), rows)
        return int(result.rowcount)

    async def lock(self, name: str) -> None:
        """Serialise units of work that lock this name, until they commit."""
        await self._begin_writing()
        if not self._turn.exclusive:
            lock = sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))
            with self._noted_faults():
                await shielded(self._open.execute(sa.select(lock)))

    def fail(self, error: SecureFlowError) -> SecureFlowError:
        """Mark this unit of work as failed: it can no longer commit; return the error."""
        self._failure = error
        return error

    @property
    def single_writer(self) -> bool:
        """Whether the database has one writer at a time."""
        return self._turn.exclusive

    @property
    def _open(self) -> AsyncConnection:
        if self._connection is None:
            message = "the unit of work is used outside its block"
            raise RuntimeError(message)
        return self._connection

    async def _begin_writing(self) -> None:
        if self._writing:
            return
        try:
            await self._turn.acquire()
            self._writing = True
            if self._turn.exclusive:
                with self._noted_faults():
                    await shielded(self._open.exec_driver_sql("BEGIN IMMEDIATE"))
                self._file.check()
        except SecureFlowError as error:
            raise self.fail(error) from error.__cause__

    @contextmanager
    def _noted_faults(self) -> Iterator[None]:
        """Turn database faults into typed errors, and prevent a commit after one."""
        try:
            with typed_faults(self.damage):
                yield
        except InfrastructureError as error:
            raise self.fail(error) from error.__cause__

    def _release(self) -> None:
        if self._writing:
            self._writing = False
            self._turn.release()


@functools.cache
def _inserting(table: sa.Table, dialect: str) -> sa.Insert:
    """Return the statement that inserts rows of a table whose keys are free."""
    insert = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    # Without this option the row count of an INSERT is -1, which looks like success. Rows as
    # parameters: a statement with hundreds of literal rows would be compiled each time.
    once: sa.Insert = insert.on_conflict_do_nothing()
    return once.execution_options(preserve_rowcount=True)


async def _given_back(connection: AsyncConnection) -> None:
    try:
        await connection.close()
    except sa.exc.SQLAlchemyError as error:
        if fault_of(error) is None:
            raise
        if not connection.closed:
            await connection.invalidate()
            await connection.close()
