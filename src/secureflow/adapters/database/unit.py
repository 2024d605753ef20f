"""The unit of work: one transaction over every store.

Over SQLite reads run outside a transaction, each on what is committed, and the first write takes
the one write lock; over PostgreSQL READ COMMITTED does the same. Never wait for another unit of
work, or for the ledger, between a write and `commit`: over SQLite that is a deadlock, which ends
in `database_busy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from secureflow.adapters.database import entities
from secureflow.adapters.database.claims import SqlClaims
from secureflow.adapters.database.connections import WriteTurn
from secureflow.adapters.database.damage import DamageLog
from secureflow.adapters.database.entities import EntityStore
from secureflow.adapters.database.faults import fault_of, typed_faults
from secureflow.adapters.database.records import (
    SqlEvents,
    SqlIdempotency,
    SqlJournal,
    SqlOutbox,
    SqlPendingLeaves,
)
from secureflow.adapters.database.tables import ENROLMENTS, IDEMPOTENCY, SETTINGS, TOKENS
from secureflow.adapters.database.undisturbed import undisturbed
from secureflow.application.ports.storage import (
    ClaimStore,
    Events,
    Idempotency,
    Journal,
    Outbox,
    PendingLeaves,
    Store,
)
from secureflow.domain.datasets import Dataset, Grant
from secureflow.domain.jobs import Job
from secureflow.domain.models import Model
from secureflow.domain.organisations import Agent, Enrolment, Organisation
from secureflow.domain.projects import Project
from secureflow.domain.users import Token, User
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.heldfile import HeldFile

Row = Mapping[str, Any]
ENROLMENT_KEPT: Final = 30 * 86_400
"""Seconds that an expired enrolment stays: lists still tell why an agent cannot join."""
ANSWERS_KEPT: Final = 86_400
"""Seconds in which a repeated POST gets its first answer."""


class SqlUnitOfWork:
    """`application.ports.storage.UnitOfWork` on SQLAlchemy; made by `Database.begin`."""

    def __init__(
        self,
        engine: AsyncEngine,
        turn: WriteTurn,
        damage: DamageLog | None = None,
        file: HeldFile | None = None,
    ) -> None:
        self.damage = damage or DamageLog()
        self._engine = engine
        self._turn = turn
        self._file = file or HeldFile(None, InfrastructureError)
        self._connection: AsyncConnection | None = None
        self._writing = False
        self._failure: SecureFlowError | None = None
        self._settings: dict[str, int] = {}
        self.users: Store[User] = EntityStore(self, entities.USERS)
        self.tokens: Store[Token] = EntityStore(self, entities.TOKENS)
        self.organisations: Store[Organisation] = EntityStore(self, entities.ORGANISATIONS)
        self.enrolments: Store[Enrolment] = EntityStore(self, entities.ENROLMENTS)
        self.agents: Store[Agent] = EntityStore(self, entities.AGENTS)
        self.projects: Store[Project] = EntityStore(self, entities.PROJECTS)
        self.datasets: Store[Dataset] = EntityStore(self, entities.DATASETS)
        self.grants: Store[Grant] = EntityStore(self, entities.GRANTS)
        self.jobs: Store[Job] = EntityStore(self, entities.JOBS)
        self.models: Store[Model] = EntityStore(self, entities.MODELS)
        self.journal: Journal = SqlJournal(self)
        self.outbox: Outbox = SqlOutbox(self)
        self.events: Events = SqlEvents(self)
        self.leaves: PendingLeaves = SqlPendingLeaves(self)
        self.idempotency: Idempotency = SqlIdempotency(self)
        self.claims: ClaimStore = SqlClaims(self)

    async def __aenter__(self) -> SqlUnitOfWork:
        """Take a connection from the pool.

        Raises:
            InfrastructureError: `database_unavailable`, `record_replaced`; whoever asked may try
                again.
        """
        self._file.check()
        with typed_faults():
            connecting = self._engine.connect()
            self._connection = await undisturbed(connecting, AsyncConnection.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Roll back what was not committed and give the connection back.

        A database that is away has rolled it back by itself: that is no failure of the block.
        """
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                await undisturbed(_given_back(connection))
        finally:
            self._release()

    async def commit(self) -> None:
        """Make everything of this block durable.

        Raises:
            SecureFlowError: the failure of an earlier write of this block; half of a deed is
                never committed.
            InfrastructureError: the database failed. Where it was lost at this very moment nobody
                knows whether it committed: read before you repeat.
        """
        if self._failure is not None:
            raise self._failure
        try:
            with self._noted_faults():
                await undisturbed(self._open.commit())
        finally:
            self._release()

    async def setting(self, name: str) -> Any:
        """Return a platform-wide JSON value or None."""
        row = (await self.read(sa.select(SETTINGS).where(SETTINGS.c.name == name))).first()
        self._settings[name] = 0 if row is None else row.version
        return None if row is None else row.value

    async def set_setting(self, name: str, value: Any) -> None:
        """Store a platform-wide JSON value.

        Raises:
            SecureFlowError: `stale_version` when it changed since this unit of work read it.
        """
        first = {"name": name, "version": 1, "value": value}
        known = self._settings.get(name)
        if not known and await self.insert_once(SETTINGS, first):
            self._settings[name] = 1
            return
        change = sa.update(SETTINGS).where(SETTINGS.c.name == name)
        if known is not None:
            change = change.where(SETTINGS.c.version == known)
        changed = await self.write(change.values(version=SETTINGS.c.version + 1, value=value))
        if not changed.rowcount:
            raise self.fail(
                SecureFlowError(
                    "stale_version",
                    f"The setting {name} was changed by someone else meanwhile.",
                    "Read it again and repeat the change.",
                )
            )
        if known is not None:
            self._settings[name] = known + 1

    async def read(self, query: sa.Select[Any]) -> sa.Result[Any]:
        """Run a query on what is committed, and on what this unit of work has written."""
        with self._noted_faults():
            result: sa.Result[Any] = await undisturbed(self._open.execute(query))
        return result

    async def write(
        self, statement: sa.Executable, rows: Sequence[Row] | None = None
    ) -> sa.CursorResult[Any]:
        """Run a change; the first one of this unit of work takes the write lock."""
        await self._begin_writing()
        try:
            with self._noted_faults():
                return await undisturbed(self._open.execute(statement, rows))
        except sa.exc.IntegrityError as error:
            raise self.fail(
                SecureFlowError(
                    "already_exists",
                    "What was to be stored conflicts with something that exists already.",
                    "Choose another name, or change the one that exists.",
                )
            ) from error

    async def insert_once(self, table: sa.Table, *rows: Row) -> int:
        """Insert rows whose keys are free and return how many those were.

        Asked this way, PostgreSQL does not abort the whole transaction over a taken key.
        """
        dialect = sqlite if self._engine.dialect.name == "sqlite" else postgresql
        insert = dialect.insert(table)
        # Of an INSERT the count is else thrown away, and -1 looks like a yes. Rows as parameters:
        # a statement that spells out hundreds of them is compiled anew each time.
        statement = insert.on_conflict_do_nothing().execution_options(preserve_rowcount=True)
        result = await self.write(statement, rows)
        return int(result.rowcount)

    async def lock(self, name: str) -> None:
        """Let units of work that lock this name go on one after another, until they commit."""
        await self._begin_writing()
        if not self._turn.exclusive:
            lock = sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))
            with self._noted_faults():
                await undisturbed(self._open.execute(sa.select(lock)))

    async def sweep(self, now: int) -> int:
        """Forget what nobody can use any more; return how many rows that were."""
        gone = 0
        for column, since in (
            (TOKENS.c.expires, now),
            (ENROLMENTS.c.expires, now - ENROLMENT_KEPT),
            (IDEMPOTENCY.c.at, now - ANSWERS_KEPT),
        ):
            gone += (await self.write(sa.delete(column.table).where(column <= since))).rowcount
        return gone

    def fail(self, error: SecureFlowError) -> SecureFlowError:
        """Note that this unit of work must not be committed any more; return the error."""
        self._failure = error
        return error

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
                    await undisturbed(self._open.exec_driver_sql("BEGIN IMMEDIATE"))
                self._file.check()
        except SecureFlowError as error:
            raise self.fail(error) from error.__cause__

    @contextmanager
    def _noted_faults(self) -> Iterator[None]:
        """Type the database's faults, and let nothing be committed after one."""
        try:
            with typed_faults():
                yield
        except InfrastructureError as error:
            raise self.fail(error) from error.__cause__

    def _release(self) -> None:
        if self._writing:
            self._writing = False
            self._turn.release()


async def _given_back(connection: AsyncConnection) -> None:
    try:
        await connection.close()
    except sa.exc.SQLAlchemyError as error:
        if fault_of(error) is None:
            raise
        if not connection.closed:
            await connection.invalidate()
            await connection.close()
