"""Which server drives a job when several share a database.

A job is claimed, in the transaction that creates it, by the server that drives it. Servers that see
each other in the database send heartbeats: each increments a count of its own there. No clocks are
read or compared: a server without a heartbeat during `MISSED_HEARTBEATS` heartbeats of another one
has lost its claims. The observer's heartbeats count, not seconds: nobody loses claims because the
database takes no writes or a machine is stopped. A server that is alone writes nothing. A claim
saves work and keeps a job where its parties are. That an effect has only one answer is ensured by
the journal, whatever the claims say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.logthrottle import ThrottledLog

if TYPE_CHECKING:
    from secureflow.application.ports.storage import Claim, UnitOfWork, UnitOfWorkFactory

INTERVAL: Final = 3.0
"""Seconds between two checks of what other servers of the database did."""
MISSED_HEARTBEATS: Final = 10
"""A server's claims lapse if it sent no heartbeat during this many of another one's."""
Poll = Callable[[], Awaitable[None]]

_log = get_logger(__name__)


class JobClaims:
    """The claims of this server, and what it saw of the others.

    Args:
        begin: starts units of work.
        server: tells this server from all others of the database; the same after a restart.
        name: its name for people.
    """

    def __init__(self, begin: UnitOfWorkFactory, server: str = "", name: str = "") -> None:
        self._begin = begin
        self._server = server
        self.name = name
        self._seen: dict[str, tuple[int | None, int]] = {}
        self._names: dict[str, str] = {}
        self._calls: dict[str, int] = {}
        self._held: set[str] = set()

    @property
    def others(self) -> set[str]:
        """The names of the other running servers."""
        return {name for server, name in self._names.items() if not self._lapsed(server)}

    def free(self, claim: Claim | None) -> bool:
        """Tell whether this server may drive a job: it has claimed it, or nobody has now."""
        return claim is None or claim.server == self._server or self._lapsed(claim.server)

    async def free_jobs(self, unit: UnitOfWork) -> Callable[[str], bool]:
        """Return a predicate that tells whether this server may drive a job."""
        claims = {claim.job: claim for claim in await unit.claims.every()}
        return lambda job: self.free(claims.get(job))

    async def take(self, unit: UnitOfWork, job: str) -> None:
        """Claim a job, in the caller's unit of work.

        Raises:
            SecureFlowError: `fenced` if another server drives it.
        """
        if job in self._held:
            return
        claim = await unit.claims.of(job)
        if claim is not None and claim.server == self._server:
            return
        before = claim.server if claim is not None and self.free(claim) else None
        await unit.claims.take(job, self._server, before)

    def hold(self, job: str) -> None:
        """Note that the claim is durable."""
        self._held.add(job)

    def lose(self, job: str) -> None:
        """Note that it is unknown whether the claim is durable."""
        self._held.discard(job)

    async def driven_elsewhere(self, unit: UnitOfWork, job: str) -> bool:
        """Tell whether another server drives the job; if so, ask it to check the job."""
        if self.free(await unit.claims.of(job)):
            return False
        await unit.claims.call(job)
        await unit.commit()
        return True

    async def poll(self) -> Changes:
        """Send a heartbeat, if there is another server, and return what others did."""
        held = set(self._held)
        async with self._begin() as unit:
            claims, beats = await unit.claims.every(), await unit.claims.heartbeats()
            others = {beat.server for beat in beats if beat.server != self._server}
            if others or not beats:
                await unit.claims.heartbeat(self._server, self.name)
                for server in others - {claim.server for claim in claims}:
                    if self._lapsed(server):
                        await unit.claims.forget(server)
                await unit.commit()
        self._names = {beat.server: beat.name for beat in beats if beat.server in others}
        self._count({beat.server: beat.count for beat in beats}, claims)
        mine = [claim for claim in claims if claim.server == self._server]
        self._calls = {one.job: min(self._calls.get(one.job, 0), one.called) for one in mine}
        called = {one.job: one.called for one in mine if one.called > self._calls[one.job]}
        foreign = {claim.job: claim.server for claim in claims if claim.server != self._server}
        lapsed = any(map(self._lapsed, foreign.values()))
        return Changes(called, sorted(held & foreign.keys()), lapsed)

    def acknowledge(self, job: str, calls: int) -> None:
        """Note that this many calls were handled; until then each check reports them."""
        self._calls[job] = calls

    def _count(self, beats: Mapping[str, int], claims: Iterable[Claim]) -> None:
        """Count for each other server how often its count was unchanged."""
        before, self._seen = self._seen, {}
        for server in (beats.keys() | {claim.server for claim in claims}) - {self._server}:
            count, looks = beats.get(server), 0
            if server in before and before[server][0] == count:
                looks = before[server][1] + 1
            self._seen[server] = (count, looks)

    def _lapsed(self, server: str) -> bool:
        return server in self._seen and self._seen[server][1] >= MISSED_HEARTBEATS


@dataclass(frozen=True)
class Changes:
    """What other servers did since the last check.

    Args:
        called: jobs of this server that others asked it to check, with the number of calls so far.
        lost: jobs that this server drove and others have claimed.
        lapsed: whether there are jobs that nobody drives any more.
    """

    called: Mapping[str, int]
    lost: Sequence[str]
    lapsed: bool


async def poll_forever(looks: Sequence[Poll], interval: float = INTERVAL) -> None:
    """Run each of them every `interval` seconds, until cancelled."""
    faults = ThrottledLog(_log)
    while True:
        await asyncio.sleep(interval)
        for look in looks:
            try:
                await look()
            except SecureFlowError as error:  # a busy database; retried next time
                faults.note("look_failed", code=error.code)
            except Exception:  # noqa: BLE001  the edge of a task: the database may return
                _log.exception("look_failed")
