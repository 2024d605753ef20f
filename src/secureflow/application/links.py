"""The links of agents step by step (`domain.linksteps`), from what the centre knows of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.application.access import Principal, missing, require
from secureflow.application.issuing import issued
from secureflow.application.jobs.reachability import Reachability
from secureflow.application.listing import list_readable
from secureflow.application.membership import CANDIDATE, CURRENT, stored
from secureflow.application.ports.courier import Courier
from secureflow.application.ports.ledger import Ledger, LogEntry
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.charter import SignedCharter
from secureflow.domain.linksteps import LinkFacts, LinkStep, StepState, link_steps, worst
from secureflow.domain.organisations import Agent
from secureflow.engines.ledger.notes import parse_note
from secureflow.kit.clock import Clock
from secureflow.kit.pki import CLOCK_SKEW, PARTY_LIFE
from secureflow.kit.version import __version__

ATTESTED: Final = "attested"
_ON_ENCLAVE: Final = ("tier", "simulated", "evidence", "generation")


@dataclass(frozen=True)
class LinkView:
    """A process's link: its state in one word, and each step."""

    agent: str
    party: str
    organisation: str
    kind: str
    state: StepState
    steps: list[LinkStep]


@dataclass(frozen=True)
class _Log:
    charter: SignedCharter | None
    candidate: SignedCharter | None
    head: int
    cosigners: frozenset[str]


class Links:
    """Use cases around the state of links.

    Args:
        begin: starts units of work.
        courier, reachability: the links to this server, and to others.
        ledger: what agents said and saw.
        clock: unix seconds.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        courier: Courier,
        reachability: Reachability,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._begin = begin
        self._courier = courier
        self._reachability = reachability
        self._ledger = ledger
        self._clock = clock

    async def of(self, principal: Principal, key: str) -> LinkView:
        """Return the link of an agent of the caller's organisation; the operator sees all.

        Raises:
            SecureFlowError: `not_found`.
        """
        require(principal, "agent.read")
        async with self._begin() as work:
            agent = await work.agents.find(key)
        if agent is None or not (principal.operator or principal.acts_for(agent.organisation)):
            raise missing("agent", key)
        return await self._view(agent, await self._log())

    async def all(self, principal: Principal) -> Sequence[LinkView]:
        """Return the links of the living agents that the caller may look into."""
        require(principal, "agent.read")
        equals = {} if principal.operator else {"organisation": principal.organisation}
        async with self._begin() as work:
            agents = await list_readable(work.agents, **equals)
        log = await self._log()
        return [await self._view(one, log) for one in agents if one.revoked is None]

    async def _log(self) -> _Log:
        note = parse_note(await self._ledger.head())
        async with self._begin() as work:
            charter, candidate = await stored(work, CURRENT), await stored(work, CANDIDATE)
        names = frozenset(one.name for one in note.signatures)
        return _Log(charter, candidate, note.checkpoint.size, names)

    async def _view(self, agent: Agent, log: _Log) -> LinkView:
        verdict: list[LogEntry] = []
        if agent.organisation:
            verdict = await self._ledger.search(kind=ATTESTED, author=agent.party, limit=1)
        async with self._begin() as work:
            facts = await self._facts(work, agent, log, verdict)
        steps = link_steps(facts, self._clock())
        return LinkView(agent.id, agent.party, agent.organisation, agent.kind, worst(steps), steps)

    async def _facts(
        self, work: UnitOfWork, agent: Agent, log: _Log, verdict: Sequence[LogEntry]
    ) -> LinkFacts:
        lines = await issued(work, agent.id)
        at = int(str(lines[-1]["at"])) if lines else agent.created
        organisation = await work.organisations.find(agent.organisation)
        status = self._courier.status(agent.party)
        link = self._reachability.link_of(agent)
        return LinkFacts(
            organisation=agent.organisation,
            party=agent.party,
            created=agent.created,
            revoked=agent.revoked,
            disabled=organisation is not None and organisation.disabled,
            valid_until=at + int((PARTY_LIFE - CLOCK_SKEW).total_seconds()),
            connected=status.connected,
            since=status.since,
            last=int(status.last_progress),
            elsewhere=link.server,
            clock_ahead=status.clock_ahead,
            version=status.version,
            own_version=__version__,
            charter=log.charter.charter.version if log.charter else 0,
            member=_member(log.charter, agent),
            unsigned=unsigned_by(log.candidate, agent.organisation),
            verdict=_told(verdict[0]) if verdict else {},
            seen=status.log_size,
            head=log.head,
            cosigned=agent.party in log.cosigners,
        )


def unsigned_by(candidate: SignedCharter | None, organisation: str) -> int:
    """Return the version of a candidate charter that an organisation has not signed; else 0."""
    if candidate is None or organisation in candidate.signatures:
        return 0
    named = organisation in candidate.charter.keys
    return candidate.charter.version if named and organisation else 0


def _member(charter: SignedCharter | None, agent: Agent) -> bool | None:
    key = charter.charter.keys.get(agent.organisation) if charter else None
    return None if key is None else key == agent.key


def _told(entry: LogEntry) -> dict[str, Any]:
    document = entry.document if isinstance(entry.document, dict) else {}
    told = {name: document[name] for name in _ON_ENCLAVE if name in document}
    return {"at": entry.at, "job": entry.job, **told}
