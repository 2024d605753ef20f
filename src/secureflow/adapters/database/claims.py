"""Which server drives a job, and the servers' heartbeats (`application.running.claims`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from secureflow.adapters.database.tables import CLAIMS, SERVERS
from secureflow.application.ports.storage import Claim, Heartbeat
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:
    from secureflow.adapters.database.transaction import SqlTransaction


class SqlClaims:
    """`application.ports.storage.ClaimStore`."""

    def __init__(self, unit: SqlTransaction) -> None:
        self._unit = unit

    async def of(self, job: str) -> Claim | None:
        """Return a job's claim."""
        row = (await self._unit.read(sa.select(CLAIMS).where(CLAIMS.c.job == job))).first()
        return None if row is None else Claim(row.job, row.server, row.called)

    async def every(self) -> list[Claim]:
        """Return all claims: one for each unfinished job."""
        rows = await self._unit.read(sa.select(CLAIMS))
        return [Claim(row.job, row.server, row.called) for row in rows]

    async def take(self, job: str, server: str, before: str | None) -> None:
        """Claim a job that is unclaimed, or claimed by the server `before`; else raise `fenced`."""
        if before is None:
            row = {"job": job, "server": server, "called": 0}
            taken = await self._unit.insert_once(CLAIMS, row)
        else:
            change = sa.update(CLAIMS).where(CLAIMS.c.job == job, CLAIMS.c.server == before)
            taken = (await self._unit.write(change.values(server=server))).rowcount
        if not taken:
            raise self._unit.fail(
                SecureFlowError(
                    "fenced",
                    Text("Job {job} is being run by another replica.", job=job),
                    "Nothing to do: the other replica continues the job.",
                )
            )

    async def call(self, job: str) -> None:
        """Ask the server that drives the job to check it."""
        change = sa.update(CLAIMS).where(CLAIMS.c.job == job)
        await self._unit.write(change.values(called=CLAIMS.c.called + 1))

    async def release(self, job: str) -> None:
        """Remove the claim of a job that ended."""
        await self._unit.write(sa.delete(CLAIMS).where(CLAIMS.c.job == job))

    async def heartbeat(self, server: str, name: str) -> None:
        """Increment a server's count, from 0 if it is new."""
        mine = sa.update(SERVERS).where(SERVERS.c.id == server)
        counted = mine.values(name=name, beats=SERVERS.c.beats + 1)
        if not (await self._unit.write(counted)).rowcount:
            await self._unit.insert_once(SERVERS, {"id": server, "name": name, "beats": 0})

    async def heartbeats(self) -> list[Heartbeat]:
        """Return every server's heartbeat."""
        rows = await self._unit.read(sa.select(SERVERS))
        return [Heartbeat(row.id, row.name, row.beats) for row in rows]

    async def forget(self, server: str) -> None:
        """Remove a server that no longer exists."""
        await self._unit.write(sa.delete(SERVERS).where(SERVERS.c.id == server))
