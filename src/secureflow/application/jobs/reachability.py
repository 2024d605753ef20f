"""Which parties a job waits for because they have no link to this server.

Several servers may share a database, but a party dials one of them, and a job is driven by the
server that it was submitted to. The server that a party dialled last is stored in its entity, so
each server can name the one where a job would find its missing parties. A server that no longer
exists, such as this one before it was moved, is not named.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from secureflow.application.listing import list_readable
from secureflow.application.ports.courier import Courier, PartyStatus
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.jobs import Job
from secureflow.domain.organisations import Agent
from secureflow.domain.specs.protections import stored_traits
from secureflow.engines.script import ENCLAVE
from secureflow.kit.text import Text

KEY: Final = "absent"
"""Key of the missing parties in the progress of an unfinished job; it is not stored."""
SINCE: Final = "absent_since"
"""Beside it, unix seconds since when each is missing, of those of which it is known."""


@dataclass(frozen=True)
class Absence:
    """A party of an unfinished job that has no link to this server.

    `server`: another running server that it dialled last, or ""; `since`: unix seconds since when
    the job lacks it, 0 if this server has not had a link of it since it started.
    """

    job: str
    party: str
    server: str
    since: int


class Reachability:
    """Tells which parties have no link to this server.

    Args:
        courier: knows the links to this server.
        others: the names of the other running servers.
    """

    def __init__(self, courier: Courier, others: Callable[[], Collection[str]]) -> None:
        self._courier = courier
        self._others = others

    def clock_of(self, party: str) -> int | None:
        """Return by how many seconds a connected party's clock is ahead."""
        status = self._courier.status(party)
        return status.clock_ahead if status.connected else None

    def engines_of(self, party: str) -> dict[str, str] | None:
        """Return what a connected party announced of its engines; None for any other."""
        status = self._courier.status(party)
        return status.engines if status.connected else None

    async def absent(self, work: UnitOfWork, parties: Iterable[str]) -> dict[str, str]:
        """Return the parties without a link here, with the server that each dialled last, or ""."""
        away = sorted(party for party in parties if not self._courier.status(party).connected)
        if not away:
            return {}
        others = self._others()
        elsewhere = {
            agent.party: agent.server
            for agent in await list_readable(work.agents, party=away)
            if agent.revoked is None and agent.server in others
        }
        return {party: elsewhere.get(party, "") for party in away}

    async def placed(self, work: UnitOfWork, job: Job) -> Job:
        """Return a job for clients: an unfinished one with the parties that have no link here."""
        if job.state.final:
            return job
        absent = await self.absent(work, parties_of(job.spec))
        if not absent:
            return job
        ended = {party: self._gone(job, party) for party in absent}
        since = {party: at for party, at in ended.items() if at}
        told: dict[str, Any] = {KEY: absent, **({SINCE: since} if since else {})}
        return replace(job, progress={**job.progress, **told})

    def away(self, job: Job) -> list[str]:
        """Return the parties of a job that have no link here, in alphabetical order."""
        parties = sorted(set(parties_of(job.spec)))
        return [party for party in parties if not self._courier.status(party).connected]

    async def absences(
        self, work: UnitOfWork, away: Iterable[tuple[Job, Collection[str]]]
    ) -> list[Absence]:
        """Return what is known of missing parties, in the order in which they are named.

        Args:
            work: the transaction.
            away: jobs, and of each the parties without a link here (`away`) that are told.
        """
        pairs = [(job, party) for job, parties in away for party in parties]
        servers = await self.absent(work, {party for _, party in pairs})
        return [
            Absence(job.id, party, servers.get(party, ""), self._gone(job, party))
            for job, party in pairs
        ]

    def _gone(self, job: Job, party: str) -> int:
        """Return since when a job lacks a party: not longer than there is that job; 0: unknown."""
        gone = self._courier.status(party).gone
        return max(job.created, gone) if gone else 0

    def link_of(self, agent: Agent) -> PartyStatus:
        """Return a party's link, with the other server that it dialled last if it has none here."""
        status = self._courier.status(agent.party)
        elsewhere = not status.connected and agent.server in self._others()
        return replace(status, server=agent.server if elsewhere else "")


def parties_of(spec: Mapping[str, Any]) -> list[str]:
    """Return a job's parties, its enclave included; the spec may be from another version."""
    parties = [str(line["party"]) for line in spec.get("roster", ())]
    return [*parties, *[ENCLAVE] * stored_traits(spec).enclave]


def absence_notes(absent: Mapping[str, str]) -> Iterator[str]:
    """Yield notes for people."""
    for party, server in absent.items():
        if server:
            yield (
                Text(
                    "{party} has no link to this server: it is connected to the server "
                    "{server}. A job that is submitted here waits for it; submit it at "
                    "that server.",
                    party=party,
                    server=server,
                )
            )
        else:
            yield (
                Text(
                    "{party} has no link to this server. A job waits for its consent "
                    "until it connects; once it runs, it waits only for the "
                    "`patience_seconds` of its spec.",
                    party=party,
                )
            )
