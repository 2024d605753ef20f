"""The store of notifications: rows per person, so that a list, its marks and its bounds are local.

An event's audience is resolved when the rows are written: measured for 200 recipients, writing
rows takes some milliseconds once, while resolving an audience at every read would cost each reader
a join with users, roles and marks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from secureflow.adapters.database.tables import NOTIFICATIONS
from secureflow.application.ports.changes import ChangeKind
from secureflow.domain.notifications import Notification
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.adapters.database.transaction import SqlTransaction

_CURSOR: Final = re.compile(r"([01])/([0-9]{1,15})")


class SqlNotifications:
    """`application.ports.notifications.NotificationStore`.

    A watcher resumes after the last id that it saw, so a smaller id must never become visible after
    a larger one: units of work that add commit one after another.
    """

    def __init__(self, unit: SqlTransaction) -> None:
        self._unit = unit

    async def add(self, event: str, notifications: Sequence[Notification]) -> list[str]:
        """Insert what one event tells to whom; return the users who did not have it yet."""
        table = NOTIFICATIONS
        await self._unit.lock("notifications")
        wanted = {one.user: one for one in notifications}
        known = sa.select(table.c.user).where(
            table.c.event == event, table.c.user.in_(sorted(wanted))
        )
        for row in await self._unit.read(known):
            del wanted[row.user]
        rows = [_row(event, one) for one in wanted.values()]
        if rows:
            await self._unit.write(sa.insert(table), rows)
            await self._note(event, list(wanted))
        return list(wanted)

    async def _note(self, event: str, users: Sequence[str]) -> None:
        table = NOTIFICATIONS
        new = sa.select(table.c.id, table.c.user)
        new = new.where(table.c.event == event, table.c.user.in_(users)).order_by(table.c.id)
        for row in await self._unit.read(new):
            self._unit.noted[ChangeKind.NOTIFICATION, row.user, row.id] = {}

    async def page(
        self, user: str, *, unread: bool = False, cursor: str = "", limit: int = 50
    ) -> tuple[list[Notification], str]:
        """Return a person's notifications, unread ones first, then newest first; and a cursor."""
        table = NOTIFICATIONS
        seen = sa.case((table.c.read.is_(None), 0), else_=1)
        query = sa.select(table).where(table.c.user == user)
        if unread:
            query = query.where(table.c.read.is_(None))
        if cursor:
            part, last = _position(cursor)
            query = query.where(sa.or_(seen > part, sa.and_(seen == part, table.c.id < last)))
        query = query.order_by(seen, table.c.id.desc()).limit(limit + 1)
        found = [_notification(row) for row in await self._unit.read(query)]
        more = found[limit - 1] if len(found) > limit else None
        return found[:limit], f"{int(more.read is not None)}/{more.id}" if more else ""

    async def after(self, user: str, last: int, limit: int = 500) -> list[Notification]:
        """Return a person's notifications with id > last, oldest first."""
        table = NOTIFICATIONS
        query = sa.select(table).where(table.c.user == user, table.c.id > last)
        rows = await self._unit.read(query.order_by(table.c.id).limit(limit))
        return [_notification(row) for row in rows]

    async def unread(self, user: str) -> int:
        """Return how many a person has not read."""
        table = NOTIFICATIONS
        query = sa.select(sa.func.count()).select_from(table)
        query = query.where(table.c.user == user, table.c.read.is_(None))
        return int((await self._unit.read(query)).scalar_one())

    async def newest(self, user: str) -> int:
        """Return the id of a person's newest notification, or 0."""
        query = sa.select(sa.func.max(NOTIFICATIONS.c.id)).where(NOTIFICATIONS.c.user == user)
        return int((await self._unit.read(query)).scalar() or 0)

    async def mark(self, user: str, at: int, key: int | None = None) -> int:
        """Mark one of a person's notifications as read, or all; return how many were unread."""
        table = NOTIFICATIONS
        change = sa.update(table).where(table.c.user == user, table.c.read.is_(None))
        if key is not None:
            change = change.where(table.c.id == key)
        count = int((await self._unit.write(change.values(read=at))).rowcount)
        if count:
            self._unit.noted[ChangeKind.READ, user, 0] = {}
        return count

    async def find(self, user: str, key: int) -> Notification | None:
        """Return one of a person's notifications."""
        table = NOTIFICATIONS
        query = sa.select(table).where(table.c.user == user, table.c.id == key)
        row = (await self._unit.read(query)).first()
        return None if row is None else _notification(row)

    async def trim(self, users: Sequence[str], most: int) -> int:
        """Delete what these people have beyond `most`: read ones first, then the oldest."""
        table = NOTIFICATIONS
        many = sa.func.count().label("many")
        over = sa.select(table.c.user, many).where(table.c.user.in_(users)).group_by(table.c.user)
        gone = 0
        for row in (await self._unit.read(over.having(sa.func.count() > most))).all():
            oldest = sa.select(table.c.id).where(table.c.user == row.user)
            oldest = oldest.order_by(sa.case((table.c.read.is_(None), 1), else_=0), table.c.id)
            spent = oldest.limit(row.many - most).scalar_subquery()
            gone += (await self._unit.write(sa.delete(table).where(table.c.id.in_(spent)))).rowcount
        return gone


def _row(event: str, one: Notification) -> dict[str, Any]:
    facts = {"event": event, "user": one.user, "kind": one.kind, "at": one.at}
    return {**facts, "read": one.read, "facts": one.facts}


def _notification(row: Any) -> Notification:
    facts = row.facts if isinstance(row.facts, dict) else {}
    return Notification(row.id, row.user, row.kind, row.at, facts, row.read)


def _position(cursor: str) -> tuple[int, int]:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise SecureFlowError(
            "invalid_cursor",
            "The cursor is not one that this server made.",
            "Start again without a cursor, and pass `next` on as it is.",
        )
    return int(found[1]), int(found[2])
