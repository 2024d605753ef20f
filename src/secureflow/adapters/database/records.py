"""Stores of other records than entities: journal, outbox, events, leaves, answers to POSTs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from secureflow.adapters.database.tables import (
    EVENTS,
    IDEMPOTENCY,
    JOURNAL,
    LOG_LEAVES,
    LOG_SUBMISSIONS,
    OUTBOX,
    Written,
)
from secureflow.application.ports.changes import ChangeKind
from secureflow.application.ports.storage import Event, Journalled, PendingLeaf
from secureflow.engines.ledger.ends import End
from secureflow.engines.ledger.leaves import parse_leaf
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:
    from secureflow.adapters.database.transaction import SqlTransaction

MOST_ANSWERS: Final = 1000
"""Maximum answers to POSTs kept per user."""
_LARGEST: Final = 1 << 53
"""Above every line's number; in SQLite values that are not numbers sort after it, too."""
FORGOTTEN_ANSWERS: Final = 100
"""The oldest of them, if there is one too many."""

_SETTLED: Final = sa.delete(OUTBOX).where(
    OUTBOX.c.job == sa.bindparam("of"), OUTBOX.c.seq <= sa.bindparam("last")
)
_EVENT: Final = sa.insert(EVENTS).returning(EVENTS.c.id)
_LATER: Final = (
    sa.select(EVENTS)
    .where(EVENTS.c.job == sa.bindparam("of"), EVENTS.c.id > sa.bindparam("last"))
    .order_by(EVENTS.c.id)
    .limit(sa.bindparam("most"))
)
"""Statements of every step of a job: made once."""


class SqlJournal:
    """`ports.storage.Journal`: the primary key (job, seq) keeps replicas from interfering."""

    def __init__(self, unit: SqlTransaction) -> None:
        self._unit = unit

    async def read(self, job: str, first: int = 0) -> list[Journalled]:
        """Return the job's lines from a number on, in order; earlier ones are not read."""
        rows = await self._unit.read(journal_of(job, first))
        return [journal_line(row) for row in rows]

    async def last(self, job: str) -> int:
        """Return the number of the job's last line, even a damaged one; -1 if there is none."""
        newest = sa.func.max(JOURNAL.c.seq)
        query = sa.select(newest).where(JOURNAL.c.job == job, JOURNAL.c.seq < _LARGEST)
        found = (await self._unit.read(query)).scalar()
        return -1 if found is None else int(found)

    async def append(self, job: str, lines: Sequence[Journalled]) -> None:
        """Insert lines; a taken (job, seq) raises `fenced`, and then nothing can be committed."""
        if not lines:
            return
        rows = await asyncio.to_thread(lambda: [_journal_row(job, line) for line in lines])
        if await self._unit.insert_once(JOURNAL, *rows) != len(rows):
            raise self._unit.fail(
                SecureFlowError(
                    "fenced",
                    Text(
                        "Job {job} is being run by another replica: effect {seq} already "
                        "has an answer.",
                        job=job,
                        seq=lines[0].seq,
                    ),
                    "Nothing to do: the other replica continues the job.",
                )
            )


def journal_of(job: str, first: int = 0) -> sa.Select[Any]:
    """Return the query of a job's lines from a number on, in order."""
    query = sa.select(JOURNAL).where(JOURNAL.c.job == job).order_by(JOURNAL.c.seq)
    return query.where(JOURNAL.c.seq >= first, JOURNAL.c.seq < _LARGEST) if first else query


def journal_line(row: Any) -> Journalled:
    """Return a stored line."""
    return Journalled(row.seq, row.digest, row.answer, row.failure)


def _journal_row(job: str, line: Journalled) -> dict[str, Any]:
    answer, failure = Written.of(line.answer), Written.of(line.failure)
    return {"job": job, **vars(line), "answer": answer, "failure": failure}


class SqlOutbox:
    """`application.ports.storage.Outbox`."""

    def __init__(self, unit: SqlTransaction) -> None:
        self._unit = unit

    async def put(self, job: str, seq: int, verb: str, parties: Sequence[str]) -> None:
        """Note that these parties owe an answer; repeating it changes nothing."""
        rows = [{"job": job, "seq": seq, "party": party, "verb": verb} for party in parties]
        if rows:
            await self._unit.insert_once(OUTBOX, *rows)

    async def clear(self, job: str, seq: int) -> None:
        """Record that every effect up to this one is answered."""
        await self._unit.write(_SETTLED, {"of": job, "last": seq})

    async def answered(self, job: str, seq: int, party: str) -> None:
        """Note that a party owes no answer to an effect any more; others may."""
        row = OUTBOX.c
        mine = sa.and_(row.job == job, row.seq == seq, row.party == party)
        await self._unit.write(sa.delete(OUTBOX).where(mine))

    async def asked(self, verb: str) -> list[tuple[str, str]]:
        """Return (job, party) of the open requests of a verb."""
        query = sa.select(OUTBOX.c.job, OUTBOX.c.party).where(OUTBOX.c.verb == verb)
        return [(row.job, row.party) for row in await self._unit.read(query)]

    async def open_requests(self, job: str) -> list[tuple[str, str]]:
        """Return (party, verb) of open requests of a job, oldest first."""
        query = sa.select(OUTBOX).where(OUTBOX.c.job == job).order_by(OUTBOX.c.seq, OUTBOX.c.party)
        return [(row.party, row.verb) for row in await self._unit.read(query)]


class SqlEvents:
    """`application.ports.storage.Events`.

    A watcher resumes after the last id that it saw, so within a job a smaller id must never become
    visible after a larger one: units of work that add to one job commit one after another.
    """

    def __init__(self, unit: SqlTransaction) -> None:
        self._unit = unit

    async def append(self, job: str, kind: str, at: int, data: Mapping[str, Any]) -> int:
        """Store and return the event's id."""
        await self._unit.lock(f"events/{job}")
        row = {"job": job, "kind": kind, "at": at, "data": dict(data)}
        result = await self._unit.write(_EVENT, row)
        key = int(result.scalar_one())
        self._unit.noted[ChangeKind.EVENT, job, key] = {}
        return key

    async def after(self, job: str, last: int, limit: int = 500) -> list[Event]:
        """Return the job's events with id > last."""
        return await self._read(_LATER, {"of": job, "last": last, "most": limit})

    async def of(self, ids: Sequence[int]) -> list[Event]:
        """Return the events of these ids."""
        return await self._read(sa.select(EVENTS).where(EVENTS.c.id.in_(ids)))

    async def _read(
        self, query: sa.Select[Any], values: Mapping[str, Any] | None = None
    ) -> list[Event]:
        rows = await self._unit.read(query, values)
        return [Event(row.id, row.job, row.kind, row.at, row.data) for row in rows]


class SqlPendingLeaves:
    """`application.ports.storage.PendingLeaves`: waiting leaves are numbered by `log.SqlLedger`."""

    def __init__(self, unit: SqlTransaction) -> None:
        self._unit = unit

    async def submit(self, leaves: Sequence[PendingLeaf]) -> None:
        """Insert unnumbered; a repeated (job, seq, position) is stored once.

        Raises:
            SecureFlowError: `malformed_leaf`: the log must not hold anything that auditors cannot
                parse.
        """
        rows = []
        for leaf in leaves:
            parse_leaf(leaf.data)
            place = {"job": leaf.job, "seq": leaf.seq, "position": leaf.position}
            kept = {"data": leaf.data, "document": leaf.document, "salt": leaf.salt}
            rows.append(place | kept)
        if rows:
            await self._unit.insert_once(LOG_SUBMISSIONS, *rows)

    async def end(self, job: str, author: str) -> End:
        """Return how many numbered leaves of a job an author has, and the last one's hash."""
        table = LOG_LEAVES
        many, newest = sa.func.count().label("many"), sa.func.max(table.c.number).label("newest")
        query: Any = sa.select(many, newest)
        query = query.where(table.c.job == job, table.c.author == author)
        row = (await self._unit.read(query)).one()
        if row.newest is None:
            return End()
        last = await self._unit.read(sa.select(table.c.hash).where(table.c.number == row.newest))
        return End(row.many, bytes(last.scalar_one()).hex())


class SqlIdempotency:
    """`application.ports.storage.Idempotency`: the newest answers of each user."""

    def __init__(self, unit: SqlTransaction) -> None:
        self._unit = unit

    async def find(self, user: str, key: str) -> tuple[str, int, Any] | None:
        """Return (request digest, status, body) if the key was used."""
        query = sa.select(IDEMPOTENCY).where(IDEMPOTENCY.c.user == user, IDEMPOTENCY.c.key == key)
        row = (await self._unit.read(query)).first()
        return None if row is None else (row.request, row.status, row.body)

    async def remember(
        self, user: str, key: str, request: str, status: int, body: Any, at: int
    ) -> None:
        """Store the first answer; of two at once the second fails with `fenced`."""
        row = {
            "user": user, "key": key, "request": request, "status": status, "body": body, "at": at,
        }  # fmt: skip
        if not await self._unit.insert_once(IDEMPOTENCY, row):
            raise self._unit.fail(
                SecureFlowError(
                    "fenced",
                    "This Idempotency-Key is being used by another request right now.",
                    "Repeat the request: it gets the first one's answer.",
                )
            )
        await self._forget_oldest(user)

    async def forget(self, user: str) -> None:
        """Remove what was answered to a user, and every answer that names them."""
        table = IDEMPOTENCY
        named = sa.type_coerce(table.c.body, sa.Text).contains(user, autoescape=True)
        await self._unit.write(sa.delete(table).where((table.c.user == user) | named))

    async def _forget_oldest(self, user: str) -> None:
        """Limit one user's answers; delete many at once, so few calls search for the oldest."""
        table = IDEMPOTENCY
        mine = sa.select(sa.func.count()).select_from(table).where(table.c.user == user)
        if (await self._unit.read(mine)).scalar_one() <= MOST_ANSWERS:
            return
        oldest = sa.select(table.c.key).where(table.c.user == user).order_by(table.c.at)
        kept = oldest.limit(FORGOTTEN_ANSWERS).scalar_subquery()
        gone = sa.delete(table).where(table.c.user == user, table.c.key.in_(kept))
        await self._unit.write(gone)
