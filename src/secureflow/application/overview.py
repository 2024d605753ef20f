"""The first page of the console: what waits for whom, what runs, what failed and why.

The centre shows what waits; it decides nothing of it. Approvals are given at the owners' agents: of
each the centre knows that it was asked, since when, and whether it has answered. How many people
must agree there is the owner's own rule, which no agent tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.application.access import Principal, require, seen_projects
from secureflow.application.jobs.reachability import Absence, Reachability
from secureflow.application.links import Links, LinkView, unsigned_by
from secureflow.application.listing import list_readable
from secureflow.application.membership import CANDIDATE, CURRENT, stored
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.running.answering import SLOW
from secureflow.domain.charter import SignedCharter
from secureflow.domain.jobs import Job, JobState, JobSummary
from secureflow.domain.users import Role
from secureflow.engines.ledger.notes import parse_note

MOST: Final = 50
"""Rows of one kind."""
FAILED: Final = 10
MOST_AWAY: Final = 5
"""Parties of a running job that are named because they have no link; the rest is counted."""
_OPEN: Final = [state.value for state in JobState if not state.final]
_WORKS: Final = frozenset({JobState.APPROVED, JobState.ADMITTED, JobState.RUNNING, JobState.PAUSED})


@dataclass(frozen=True)
class WaitingApproval:
    """An approval that an organisation has not given; times in unix seconds.

    `mine`: it is the caller's organisation. `people`: how many must agree there, None: not known.
    """

    job: JobSummary
    organisation: str
    since: int
    expires: int
    mine: bool
    people: int | None = None


@dataclass(frozen=True)
class WaitingQuestion:
    """A question of a data owner that waits for an answer; `mine`: the caller may answer it."""

    job: str
    name: str
    organisation: str
    number: int
    question: str
    asked: int
    mine: bool


@dataclass(frozen=True)
class WaitingInvitation:
    """An invitation of the caller's organisation; `mine`: the caller may accept it."""

    project: str
    name: str
    by: str
    since: int
    mine: bool


@dataclass(frozen=True)
class WaitingCharter:
    """The next charter; `mine`: the caller's organisation has not signed it yet."""

    version: int
    digest: str
    signed: list[str]
    missing: list[str]
    mine: bool


@dataclass(frozen=True)
class Waiting:
    """What waits for somebody, the oldest first."""

    approvals: list[WaitingApproval]
    questions: list[WaitingQuestion]
    invitations: list[WaitingInvitation]
    charter: WaitingCharter | None


@dataclass(frozen=True)
class QueueCounts:
    """How many jobs wait for a place, and how many have one, in all."""

    waiting: int
    running: int


@dataclass(frozen=True)
class Platform:
    """What operators look at: the log's head, who cosigned it, why it is held; disks.

    `storage`: of each part what it `holds`, and what is `free` and in `reserve`, in bytes.
    """

    size: int
    origin: str
    cosigned: list[str]
    missing: list[str]
    held: bool
    storage: list[dict[str, Any]]


@dataclass(frozen=True)
class Overview:
    """The first page. `more` says where a list is longer than what is shown.

    `absent`: parties without a link that running jobs lack, and that are waited for; of the jobs
    that lack more than are named, `absent_more` says how many more.
    """

    waiting: Waiting
    running: list[JobSummary]
    failed: list[JobSummary]
    queue: QueueCounts
    links: list[LinkView]
    unread: int
    platform: Platform | None
    more: bool
    absent: list[Absence]
    absent_more: dict[str, int]


Storage = Callable[[], Awaitable[list[dict[str, Any]]]]


async def no_storage() -> list[dict[str, Any]]:
    """Return no figures."""
    return []


class Overviews:
    """Makes overviews.

    Args:
        begin: starts units of work.
        links: the state of links.
        reachability: who of a job has none.
        ledger: the log.
        storage: figures of the centre's disks.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        links: Links,
        reachability: Reachability,
        ledger: Ledger,
        storage: Storage = no_storage,
    ) -> None:
        self._begin = begin
        self._links = links
        self._reachability = reachability
        self._ledger = ledger
        self._storage = storage

    def showing(self, storage: Storage) -> Overviews:
        """Return the same with figures of disks."""
        return Overviews(self._begin, self._links, self._reachability, self._ledger, storage)

    async def of(self, principal: Principal) -> Overview:
        """Return what one person sees first."""
        require(principal, "job.read")
        async with self._begin() as work:
            seen = await seen_projects(work, principal)
            jobs, more = await _open_jobs(work, seen)
            failed = await _failed(work, seen)
            candidate = await stored(work, CANDIDATE)
            waiting = Waiting(
                await _approvals(work, principal, jobs),
                await _questions(work, principal, jobs),
                await _invitations(work, principal),
                _charter(principal, candidate),
            )
            lines = await work.queue.every()
            unread = await work.notifications.unread(principal.user)
            members = await stored(work, CURRENT)
            running = [job for job in jobs if job.state in _WORKS][::-1][:MOST]
            away = {job.id: self._reachability.away(job) for job in running}
            absent = await self._absences(work, jobs, away, waiting.approvals)
        started = sum(one.started for one in lines)
        return Overview(
            waiting,
            [JobSummary.of(job) for job in running],
            failed,
            QueueCounts(len(lines) - started, started),
            list(await self._links.all(principal)),
            unread,
            await self._platform(members) if principal.operator else None,
            more,
            absent,
            _untold(away, absent),
        )

    async def _absences(
        self,
        work: UnitOfWork,
        jobs: Sequence[Job],
        away: Mapping[str, Sequence[str]],
        approvals: Sequence[WaitingApproval],
    ) -> list[Absence]:
        """Return who of what is shown has no link: of running jobs the first few, and who is asked.

        Args:
            work: the transaction.
            jobs: the unfinished ones.
            away: of a running job, all its parties without a link.
            approvals: that are waited for.
        """
        by_id = {job.id: job for job in jobs}
        told = {job: list(parties[:MOST_AWAY]) for job, parties in away.items()}
        for one in approvals:
            named = told.setdefault(one.job.id, [])
            gone = one.organisation in self._reachability.away(by_id[one.job.id])
            if gone and one.organisation not in named:
                named.append(one.organisation)
        return await self._reachability.absences(work, [(by_id[job], told[job]) for job in told])

    async def _platform(self, charter: SignedCharter | None) -> Platform:
        note = parse_note(await self._ledger.head())
        keys: Mapping[str, str] = charter.charter.keys if charter else {}
        signed = sorted(note.cosigners(keys))
        return Platform(
            note.checkpoint.size,
            self._ledger.origin,
            signed,
            sorted(set(keys) - set(signed)),
            self._ledger.hold is not None,
            await self._storage(),
        )


def _untold(away: Mapping[str, Sequence[str]], absent: Sequence[Absence]) -> dict[str, int]:
    """Return how many more parties each job lacks than are told."""
    told = Counter(one.job for one in absent)
    more = {job: len(parties) - told[job] for job, parties in away.items()}
    return {job: count for job, count in more.items() if count > 0}


async def _open_jobs(work: UnitOfWork, seen: dict[str, list[str]] | None) -> tuple[list[Job], bool]:
    """Return the newest unfinished jobs, oldest first, and whether there are more."""
    if seen is None:
        return [], False
    page = await work.jobs.latest(cursor="", limit=4 * MOST, state=_OPEN, **seen)
    return page.items[::-1], bool(page.next)


async def _failed(work: UnitOfWork, seen: dict[str, list[str]] | None) -> list[JobSummary]:
    if seen is None:
        return []
    state = JobState.FAILED.value
    page = await work.jobs.latest(cursor="", limit=FAILED, state=state, **seen)
    return [JobSummary.of(job) for job in page.items]


async def _approvals(
    work: UnitOfWork, principal: Principal, jobs: Sequence[Job]
) -> list[WaitingApproval]:
    by_id = {job.id: job for job in jobs}
    rows = [row for verb in SLOW for row in await work.outbox.asked(verb)]
    found = [_approval(principal, by_id[job], party) for job, party in sorted(rows) if job in by_id]
    return sorted(found, key=lambda one: (not one.mine, one.since))[:MOST]


def _approval(principal: Principal, job: Job, party: str) -> WaitingApproval:
    first = job.state in {JobState.PROPOSED, JobState.DRAFT}
    expires = job.progress.get("expires")
    return WaitingApproval(
        JobSummary.of(job),
        party,
        job.created if first else job.updated,
        expires if isinstance(expires, int) else 0,
        principal.acts_for(party),
    )


async def _questions(
    work: UnitOfWork, principal: Principal, jobs: Sequence[Job]
) -> list[WaitingQuestion]:
    own = {
        job.id: job for job in jobs if principal.operator or principal.acts_for(job.organisation)
    }
    if not own:
        return []
    answers = principal.may("job.answer") and not principal.operator
    found = [
        WaitingQuestion(
            one.job, own[one.job].name, one.organisation, one.number, one.question, one.asked,
            answers,
        )
        for one in await list_readable(work.questions, job=sorted(own))
        if one.answered is None
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.asked)[:MOST]


async def _invitations(work: UnitOfWork, principal: Principal) -> list[WaitingInvitation]:
    own = principal.organisation
    if not own:
        return []
    mine = Role.ORGANISATION_ADMIN in principal.roles
    found = [
        WaitingInvitation(project.id, project.name, project.organisation, member.since, mine)
        for project in await list_readable(work.projects, member=own)
        if project.closed is None
        for member in project.members
        if member.organisation == own and member.state == "invited"
    ]
    return sorted(found, key=lambda one: one.since)[:MOST]


def _charter(principal: Principal, candidate: SignedCharter | None) -> WaitingCharter | None:
    if candidate is None:
        return None
    members, signed = set(candidate.charter.keys), set(candidate.signatures)
    return WaitingCharter(
        candidate.charter.version,
        candidate.charter.digest,
        sorted(signed & members),
        sorted(members - signed),
        unsigned_by(candidate, principal.organisation) > 0,
    )
