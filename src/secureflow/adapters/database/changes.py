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

from secureflow.adapters.database.damage import load_json
from secureflow.adapters.database.noted import transaction_number
from secureflow.adapters.database.tables import BIG, CHANGES
from secureflow.application.ports.changes import Change, ChangeKind, Position
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.adapters.database.transaction import SqlTransaction

_KINDS: Final = frozenset(ChangeKind)


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
            table, now = CHANGES, transaction_number(sa.func.pg_current_xact_id())
            await self._unit.write(sa.delete(table).where(table.c.tx >= now))
        self.note(ChangeKind.START, "", secrets.randbits(53))

    async def newest(self) -> Change | None:
        """Return the last change that a reader is given now."""
        table = CHANGES
        query = self._settled(_rows()).order_by(table.c.tx.desc(), table.c.id.desc())
        row = (await self._unit.read(query.limit(1))).first()
        return None if row is None else _change(row)

    async def find(self, number: int, mark: str) -> Change | None:
        """Return the change that a cursor names, if it is still known."""
        table = CHANGES
        query = _rows().where(table.c.id == number, table.c.mark == mark)
        row = (await self._unit.read(query)).first()
        return None if row is None else _change(row)

    async def after(self, position: Position, limit: int = 500) -> Sequence[Change]:
        """Return the changes after a position, in order."""
        table = CHANGES
        place = sa.tuple_(table.c.tx, table.c.id)
        query = self._settled(_rows()).where(place > sa.tuple_(*map(_literal, position)))
        rows = await self._unit.read(query.order_by(table.c.tx, table.c.id).limit(limit))
        return [_change(row) for row in rows]

    def _settled(self, query: sa.Select[Any]) -> sa.Select[Any]:
        if self._unit.single_writer:
            return query
        oldest = sa.func.pg_snapshot_xmin(sa.func.pg_current_snapshot())
        return query.where(CHANGES.c.tx < transaction_number(oldest))


def _literal(value: int) -> sa.ColumnElement[int]:
    return sa.literal(value, BIG)


def _rows() -> sa.Select[Any]:
    """Return the query of rows, with their data as text: a damaged one stops no reader."""
    columns = (c for c in CHANGES.columns if c.name != "data")
    return sa.select(*columns, sa.type_coerce(CHANGES.c.data, sa.Text).label("data"))


def _change(row: Any) -> Change:
    """Return the change of a row; one that cannot be read, or of a later version, tells nothing."""
    position = (row.tx, row.id)
    try:
        data = load_json(row.data)
    except SecureFlowError:
        data = None
    if row.kind not in _KINDS or not isinstance(data, dict):
        return Change(position, str(row.mark), ChangeKind.START, "")
    return Change(position, row.mark, ChangeKind(row.kind), row.about, row.ref, data)
