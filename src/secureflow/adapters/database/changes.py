"""The feed of changes in the database.

Numbers are given when rows are written, and rows are seen when their transaction commits: with
several writers a smaller number may become visible after a larger one, and a reader that went on
after the larger one would miss it. SQLite has one writer. In PostgreSQL a row also holds its
transaction's id (`tx`), the order is (tx, id), and rows are given only of transactions that are
older than every one still running (`pg_snapshot_xmin`). So writers wait for nobody; a transaction
that writes for minutes delays what readers are given by as long.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from secureflow.adapters.database.tables import BIG, CHANGES
from secureflow.application.ports.changes import Change, ChangeKind, Position
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.adapters.database.transaction import SqlTransaction

MOST_KEPT: Final = 100_000
"""Changes that a reader may be behind before it has to start again."""
Noted = tuple[ChangeKind, str, int]


class SqlChanges:
    """`application.ports.changes.Changes`."""

    def __init__(self, unit: SqlTransaction) -> None:
        self._unit = unit

    def note(
        self, kind: ChangeKind, about: str, ref: int = 0, data: dict[str, JSON] | None = None
    ) -> None:
        """Note a change of this unit of work; the same one once."""
        self._unit.noted[kind, about, ref] = data or {}

    async def open(self) -> None:
        """Begin the feed of a server that starts.

        Rows of a transaction yet to come were copied here from another PostgreSQL: this one would
        never give them.
        """
        if not self._unit.single_writer:
            table, now = CHANGES, _number(sa.func.pg_current_xact_id())
            await self._unit.write(sa.delete(table).where(table.c.tx >= now))
        self.note(ChangeKind.START, "", secrets.randbits(53))

    async def newest(self) -> Change | None:
        """Return the last change that a reader is given now."""
        table = CHANGES
        query = self._settled(sa.select(table)).order_by(table.c.tx.desc(), table.c.id.desc())
        row = (await self._unit.read(query.limit(1))).first()
        return None if row is None else _change(row)

    async def find(self, number: int, mark: str) -> Change | None:
        """Return the change that a cursor names, if it is still known."""
        table = CHANGES
        query = sa.select(table).where(table.c.id == number, table.c.mark == mark)
        row = (await self._unit.read(query)).first()
        return None if row is None else _change(row)

    async def after(self, position: Position, limit: int = 500) -> Sequence[Change]:
        """Return the changes after a position, in order."""
        table = CHANGES
        place = sa.tuple_(table.c.tx, table.c.id)
        query = self._settled(sa.select(table)).where(place > sa.tuple_(*map(_literal, position)))
        rows = await self._unit.read(query.order_by(table.c.tx, table.c.id).limit(limit))
        return [_change(row) for row in rows]

    def _settled(self, query: sa.Select[Any]) -> sa.Select[Any]:
        if self._unit.single_writer:
            return query
        oldest = sa.func.pg_snapshot_xmin(sa.func.pg_current_snapshot())
        return query.where(CHANGES.c.tx < _number(oldest))


async def write_noted(unit: SqlTransaction, noted: dict[Noted, dict[str, JSON]]) -> None:
    """Write what a unit of work noted, as the last thing before its commit."""
    told = {about for kind, about, _ in noted if kind is ChangeKind.EVENT}
    rows = [
        {
            "mark": secrets.token_hex(5), "kind": kind.value, "about": about, "ref": ref,
            "data": data,
        }
        for (kind, about, ref), data in noted.items()
        if not (kind is ChangeKind.JOB and about in told)  # its event says so, too
    ]  # fmt: skip
    tx = sa.literal(0) if unit.single_writer else _number(sa.func.pg_current_xact_id())
    await unit.write(sa.insert(CHANGES).values(tx=tx), rows)


def forgotten() -> sa.Delete:
    """Return the statement that deletes what is too old to go on from."""
    newest = sa.select(sa.func.max(CHANGES.c.id)).scalar_subquery()
    return sa.delete(CHANGES).where(CHANGES.c.id <= newest - MOST_KEPT)


def _number(xid: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(sa.cast(xid, sa.Text), sa.BigInteger)


def _literal(value: int) -> sa.ColumnElement[int]:
    return sa.literal(value, BIG)


def _change(row: Any) -> Change:
    data = row.data if isinstance(row.data, dict) else {}
    return Change((row.tx, row.id), row.mark, ChangeKind(row.kind), row.about, row.ref, data)
