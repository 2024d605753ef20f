"""The queue of approved jobs, in the database: one for all servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from secureflow.adapters.database.tables import QUEUE
from secureflow.domain.queue import QueuedJob

if TYPE_CHECKING:
    from secureflow.adapters.database.transaction import SqlTransaction


class SqlQueue:
    """`application.ports.storage.QueueStore`."""

    def __init__(self, unit: SqlTransaction) -> None:
        self._unit = unit

    async def add(self, line: QueuedJob) -> None:
        """Add a job, unless it is there."""
        await self._unit.insert_once(QUEUE, _row(line))

    async def every(self) -> list[QueuedJob]:
        """Return the whole queue: a line for each job that waits or runs."""
        rows = await self._unit.read(sa.select(QUEUE))
        return [_line(row) for row in rows]

    async def of(self, job: str) -> QueuedJob | None:
        """Return a job's line."""
        row = (await self._unit.read(sa.select(QUEUE).where(QUEUE.c.job == job))).first()
        return None if row is None else _line(row)

    async def save(self, line: QueuedJob) -> None:
        """Replace a job's line; one that has gone stays gone."""
        await self._unit.write(sa.update(QUEUE).where(QUEUE.c.job == line.job).values(_row(line)))

    async def remove(self, job: str) -> None:
        """Remove a job that ended."""
        await self._unit.write(sa.delete(QUEUE).where(QUEUE.c.job == job))


def _row(line: QueuedJob) -> dict[str, str | int]:
    return {
        "job": line.job,
        "organisation": line.organisation,
        "user": line.user,
        "priority": line.priority,
        "since": line.since,
        "not_before": line.not_before,
        "started": int(line.started),
    }


def _line(row: sa.Row[tuple[object, ...]]) -> QueuedJob:
    return QueuedJob(
        row.job, row.organisation, row.user, row.priority, row.since, row.not_before,
        bool(row.started),
    )  # fmt: skip
