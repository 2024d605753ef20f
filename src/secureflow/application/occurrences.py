"""What happened, and whom it concerns: from the ledger's entries to occurrences, in one table.

Every change that matters is recorded in the transaction that makes it. So the numbered entries are
the outbox of notifications: none is lost by a crash, and none tells of what did not happen. An
entry of a kind in `_BY_SERVER` counts only if the centre wrote it, one in `_BY_PARTY` only if a
party did: a party chooses the kind of the leaves that it signs. A new kind is one line there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from secureflow.application.jobs.reachability import parties_of
from secureflow.application.listing import list_complete, list_readable
from secureflow.application.ports.ledger import LogEntry
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.datasets import Grant
from secureflow.domain.jobs import Job
from secureflow.domain.notificationkinds import ENTERED
from secureflow.domain.specs.parts import has_own_turn
from secureflow.domain.users import Role, User
from secureflow.engines.ledger.accused import ACCUSATION
from secureflow.engines.ledger.ends import SERVER
from secureflow.engines.script import ENCLAVE

ADMINS: Final = frozenset({Role.ORGANISATION_ADMIN})
OWNERS: Final = frozenset({Role.ORGANISATION_ADMIN, Role.DATA_OWNER})
PLANNERS: Final = OWNERS | {Role.DATA_SCIENTIST}
REFUSALS: Final = frozenset({"consent_refused", "protection_refused"})
"""Codes with which an owner's refusal ends a job."""
MOST_RECIPIENTS: Final = 5000
"""People whom one occurrence is told; a charter has at most some hundred members."""


@dataclass(frozen=True)
class Audience:
    """Whom an occurrence concerns.

    Args:
        organisations: their people of these `roles`, and their webhooks.
        roles: none: nobody of them but `users`.
        users: by id.
        named: one user of these organisations, by name;
        named_at: who had it then, in unix seconds: an erased account's name is free again.
        operators: the platform's administrators too.
        but: the user who did it, and knows.
    """

    organisations: tuple[str, ...] = ()
    roles: frozenset[Role] = frozenset()
    users: tuple[str, ...] = ()
    named: str = ""
    named_at: int = 0
    operators: bool = False
    but: str = ""

    async def people(self, work: UnitOfWork) -> list[User]:
        """Return the users, without disabled ones, and those of disabled organisations."""
        found: dict[str, User] = {}
        if self.organisations and self.roles:
            for user in await list_readable(work.users, organisation=self.organisations):
                if self.roles & set(user.roles):
                    found[user.id] = user
        if self.operators:
            found |= {user.id: user for user in await list_readable(work.users, organisation="")}
        if self.named:
            for user in await list_readable(work.users, name=self.named):
                if user.organisation in self.organisations and user.created <= self.named_at:
                    found[user.id] = user
        for key in self.users:
            if (known := await work.users.find(key)) is not None:
                found[key] = known
        told = [user for user in found.values() if not user.disabled and user.id != self.but]
        there = await enabled(work, {user.organisation for user in told})
        return [user for user in told if user.organisation in there][:MOST_RECIPIENTS]


async def enabled(work: UnitOfWork, organisations: Iterable[str]) -> frozenset[str]:
    """Return those of the organisations that are not disabled; "" is the operator."""
    wanted = frozenset(organisations)
    named = sorted(wanted - {""})
    known = await list_complete(work.organisations, id=named) if named else []
    return wanted - {one.id for one in known if one.disabled}


@dataclass(frozen=True)
class Occurrence:
    """One thing that happened; `event` identifies it, `at` in unix seconds."""

    event: str
    kind: str
    at: int
    facts: Mapping[str, Any]
    audience: Audience


_Derived = tuple[str, Mapping[str, Any], Audience]
_Rule = Callable[[UnitOfWork, LogEntry, Mapping[str, Any]], Awaitable[_Derived | None]]


async def occurrences_of(work: UnitOfWork, entry: LogEntry) -> list[Occurrence]:
    """Return what an entry of the ledger tells people, if anything."""
    if entry.author == ENCLAVE:
        return []
    event, told = f"log/{entry.hash.hex()}", []
    tables = {event: _BY_SERVER, f"{event}/admins": _TO_ADMINS}
    for name, rules in tables.items() if entry.author == SERVER else [(event, _BY_PARTY)]:
        rule = rules.get(entry.kind)
        document = entry.document if isinstance(entry.document, Mapping) else {}
        derived = await rule(work, entry, document) if rule else None
        if derived is not None:
            kind, facts, audience = derived
            told.append(Occurrence(name, kind, entry.at, facts, audience))
    return told


async def _invited(_: UnitOfWork, __: LogEntry, document: Mapping[str, Any]) -> _Derived:
    guests = (_text(document, "organisation"),)
    return "project_invitation", document, Audience(guests, ADMINS, but=_text(document, "by"))


def _membership(kind: str) -> _Rule:
    async def rule(work: UnitOfWork, _: LogEntry, document: Mapping[str, Any]) -> _Derived:
        members = await _members(work, _text(document, "project"))
        return kind, document, Audience(members, PLANNERS, but=_text(document, "by"))

    return rule


def _grant(kind: str) -> _Rule:
    async def rule(work: UnitOfWork, _: LogEntry, document: Mapping[str, Any]) -> _Derived:
        members = await _members(work, _text(document, "project"))
        own = _text(document, "organisation")
        everyone = tuple(dict.fromkeys((own, *members)))
        return kind, document, Audience(everyone, PLANNERS, but=_text(document, "by"))

    return rule


async def _proposed(work: UnitOfWork, entry: LogEntry, _: Mapping[str, Any]) -> _Derived | None:
    job = await _whole_job(work, entry.job)
    if job is None:
        return None
    return "job_proposed", _job_facts(job), Audience(_parties(job), OWNERS)


async def _approved(work: UnitOfWork, entry: LogEntry, _: Mapping[str, Any]) -> _Derived | None:
    job = await _whole_job(work, entry.job)
    if job is None:
        return None
    return "job_approved", _job_facts(job), _with_submitter(job, Audience((job.organisation,)))


async def _finished(
    work: UnitOfWork, entry: LogEntry, document: Mapping[str, Any]
) -> _Derived | None:
    job = await _whole_job(work, entry.job, runs=True)
    outcome = document.get("outcome")
    if job is None or outcome not in ("succeeded", "failed", "cancelled"):
        return None
    everyone = tuple(dict.fromkeys((job.organisation, *_parties(job))))
    facts = {**_job_facts(job), "code": (code := document.get("error"))}
    kind = "job_refused" if code in REFUSALS else f"job_{outcome}"
    return kind, facts, _with_submitter(job, Audience(everyone, OWNERS))


async def _question(work: UnitOfWork, _: LogEntry, document: Mapping[str, Any]) -> _Derived | None:
    job = await _whole_job(work, _text(document, "job"))
    if job is None:
        return None
    told = _with_submitter(job, Audience((job.organisation,)))
    return "question_asked", {**document, "project": job.project}, told


async def _accused(work: UnitOfWork, entry: LogEntry, _: Mapping[str, Any]) -> _Derived | None:
    job = await _whole_job(work, entry.job)
    if job is None or entry.author not in _parties(job):
        return None
    everyone = tuple(dict.fromkeys((job.organisation, *_parties(job))))
    facts = {"job": job.id, "organisation": entry.author}
    told = _with_submitter(job, Audience(everyone, OWNERS, operators=True))
    return "accusation", facts, told


def _charter(kind: str, members: str) -> _Rule:
    async def rule(_: UnitOfWork, __: LogEntry, document: Mapping[str, Any]) -> _Derived:
        listed = document.get(members)
        whose = tuple(map(str, listed)) if isinstance(listed, list | tuple) else ()
        by = _text(document, "by")
        return kind, document, Audience(whose, ADMINS, operators=True, but=by)

    return rule


def _agent(kind: str) -> _Rule:
    async def rule(_: UnitOfWork, __: LogEntry, document: Mapping[str, Any]) -> _Derived:
        own = _text(document, "organisation")
        by = _text(document, "by")
        return kind, document, Audience((own,) if own else (), OWNERS, operators=True, but=by)

    return rule


async def _created(_: UnitOfWork, __: LogEntry, document: Mapping[str, Any]) -> _Derived:
    own, by = _text(document, "organisation"), _text(document, "by")
    where = Audience((own,), ADMINS, but=by) if own else Audience(operators=True, but=by)
    return "account_created", document, where


async def _changed(_: UnitOfWork, __: LogEntry, document: Mapping[str, Any]) -> _Derived | None:
    user, by = _text(document, "user"), _text(document, "by")
    if document.get("password") is True:  # whoever set it knows it
        return _way_in(document, "password")
    if user == by:
        return None
    return "account_changed", document, Audience(users=(user,))


def _way_in(document: Mapping[str, Any], what: str) -> _Derived:
    user = _text(document, "user")
    return ENTERED, {"by": user, **document, "what": what}, Audience(users=(user,))


def _entered(what: str) -> _Rule:
    """Tell an account's owner who gets in; at a first login by a provider there is nothing new."""

    async def rule(_: UnitOfWork, __: LogEntry, document: Mapping[str, Any]) -> _Derived | None:
        provisioned = _text(document, "by").startswith("oidc:")
        return None if provisioned else _way_in(document, what)

    return rule


async def _logged_in(_: UnitOfWork, __: LogEntry, document: Mapping[str, Any]) -> _Derived | None:
    if document.get("new_place") is not True:
        return None
    login = _text(document, "session") or _text(document, "token")
    told = Audience(users=(_text(document, "user"),))
    return "login_from_new_place", {**document, "login": login}, told


async def _refused(_: UnitOfWork, __: LogEntry, document: Mapping[str, Any]) -> _Derived | None:
    user, count = _text(document, "user"), document.get("without_code")
    if not user or not count:
        return None
    return "password_known", {"user": user, "count": count}, Audience(users=(user,))


def _managed(what: str) -> _Rule:
    """Tell an organisation's administrators of a change of one of its accounts by somebody else."""

    async def rule(_: UnitOfWork, __: LogEntry, document: Mapping[str, Any]) -> _Derived | None:
        own, by = _text(document, "organisation"), _text(document, "by")
        if not by or by == _text(document, "user"):
            return None
        where = Audience((own,), ADMINS, but=by) if own else Audience(operators=True, but=by)
        return "people_changed", {**document, "what": what}, where

    return rule


_BY_SERVER: Final[Mapping[str, _Rule]] = {
    "member.invited": _invited,
    "member.joined": _membership("member_joined"),
    "member.left": _membership("member_left"),
    "grant.created": _grant("grant_created"),
    "grant.revoked": _grant("grant_revoked"),
    "job.proposed": _proposed,
    "job.started": _approved,
    "job.finished": _finished,
    "question.asked": _question,
    "charter.proposed": _charter("charter_proposed", "members"),
    "charter.adopted": _charter("charter_adopted", "signed"),
    "enrolment.used": _agent("agent_enrolled"),
    "agent.revoked": _agent("agent_revoked"),
    "user.created": _created,
    "user.updated": _changed,
    "token.created": _entered("personal-token"),
    "device.approved": _entered("device"),
    "identity.bound": _entered("identity"),
    "identity.unbound": _entered("identity-removed"),
    "second_factor.enrolled": _entered("second-factor"),
    "second_factor.removed": _entered("second-factor-removed"),
    "login.accepted": _logged_in,
    "login.refused": _refused,
}
"""What the centre records."""
_TO_ADMINS: Final[Mapping[str, _Rule]] = {
    "user.updated": _managed("account"),
    "user.erased": _managed("erasure"),
    "identity.bound": _managed("identity"),
    "identity.unbound": _managed("identity-removed"),
    "second_factor.removed": _managed("second-factor-removed"),
}
"""What is told to an organisation's administrators besides."""
_BY_PARTY: Final[Mapping[str, _Rule]] = {ACCUSATION: _accused}
"""What parties sign."""


def expiring_grant(grant: Grant, members: tuple[str, ...], now: int, days: int) -> Occurrence:
    """Return that a grant ends soon; each end is told once."""
    everyone = tuple(dict.fromkeys((grant.organisation, *members)))
    facts = {
        "grant": grant.id, "dataset": grant.dataset, "project": grant.project,
        "organisation": grant.organisation, "days": days,
    }  # fmt: skip
    event = f"grant_expiring/{grant.id}/{grant.expires}"
    return Occurrence(event, "grant_expiring", now, facts, Audience(everyone, PLANNERS))


async def members_of(work: UnitOfWork, project: str) -> tuple[str, ...]:
    """Return the active members of a project; none of one that does not exist."""
    return await _members(work, project)


async def _members(work: UnitOfWork, key: str) -> tuple[str, ...]:
    project = await work.projects.find(key)
    if project is None:
        return ()
    return tuple(one.organisation for one in project.members if one.state == "active")


async def _whole_job(work: UnitOfWork, key: str, *, runs: bool = False) -> Job | None:
    """Return a job; a part is nobody's news, its whole is; nor a run of a timetable, until its end.

    `runs`: return those as well.
    """
    job = await work.jobs.find(key)
    if job is None:
        return None
    if job.spec.get("part_of") is not None and not (runs and has_own_turn(job.spec)):
        return None
    return replace(job, report=None)


def _with_submitter(job: Job, others: Audience) -> Audience:
    return replace(others, named=job.submitter, named_at=job.created)


def _parties(job: Job) -> tuple[str, ...]:
    return tuple(party for party in parties_of(job.spec) if party != ENCLAVE)


def _job_facts(job: Job) -> dict[str, Any]:
    return {"job": job.id, "project": job.project, "organisation": job.organisation}


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""
