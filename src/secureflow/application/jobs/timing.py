"""When a job starts: its time, which owners approve with the spec, and its place in the queue."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from secureflow.application.access import Principal, permit, require, sees_work_of, visible_job
from secureflow.application.jobs.kind import Drafted, Wanted
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.running.queueing import LOCK
from secureflow.application.transactions import Transactions
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.priorities import HIGHEST, OF_ORGANISATION, USUAL
from secureflow.domain.queue import QueuedJob, QueueLimits, Standing, standing
from secureflow.domain.specs.base import JobSpec, spec_digest
from secureflow.domain.specs.kinds import JUDGED_BY_PARTS
from secureflow.domain.users import Role, User
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

LONGEST: Final = 90 * 86_400
"""Seconds ahead of which a start can be set: approvals are renewed until then."""

CONSENT_SECONDS: Final = 7 * 86_400
"""How long approvals are requested: a data owner may be on holiday."""


def consent_until(spec: JobSpec, now: int) -> int:
    """Return the unix seconds until which a job asks for approvals: a timetable's last all of it.

    Args:
        spec: the job's.
        now: unix seconds.
    """
    if spec.times is not None:
        return spec.times.ends
    return max(now, spec.not_before or 0) + CONSENT_SECONDS


def checked_by_rules(spec: JobSpec) -> tuple[JobSpec, ...]:
    """Return the specs that a project's rules look at: a timetable's run, a pipeline's steps."""
    return spec.parts("") if spec.kind in JUDGED_BY_PARTS else (spec,)


def scheduled(drafted: Drafted, wanted: Wanted, now: int) -> Drafted:
    """Return the draft with the time before which it does not start, as it was asked for.

    Raises:
        SecureFlowError: `invalid_spec` for a time that has passed or is too far ahead.
    """
    at = wanted.not_before
    if at is None:
        return drafted
    if not now <= at <= now + LONGEST:
        problem = (
            Text("it has passed")
            if at < now
            else Text("it is more than {days} days ahead", days=LONGEST // 86_400)
        )
        raise SecureFlowError(
            "invalid_spec",
            Text("The spec is not valid: not_before: {problem}.", problem=problem),
            "Give a time between now and then, or leave it out to start as soon as it may.",
            {"fields": [{"field": "not_before", "problem": problem}]},
        )
    spec = drafted.spec.starting_at(at)
    return replace(drafted, spec=spec, digest=spec_digest(spec))


def check_priority(principal: Principal, priority: int) -> None:
    """Refuse a priority that the caller may not choose.

    Raises:
        SecureFlowError: `priority_refused`.
    """
    most = most_of(principal)
    if priority <= most:
        return
    raise SecureFlowError(
        "priority_refused",
        Text(
            "{name} may choose priorities up to {most}, not {priority}.",
            name=principal.name,
            most=most,
            priority=priority,
        ),
        Text(
            "Ask an administrator of your organisation (up to {own}), or the operator (to {all}).",
            own=OF_ORGANISATION,
            all=HIGHEST,
        ),
    )


def most_of(principal: Principal) -> int:
    """Return the highest priority that the caller may choose."""
    if principal.operator:
        return HIGHEST
    return OF_ORGANISATION if Role.ORGANISATION_ADMIN in principal.roles else USUAL


class Queue:
    """Use cases around the queue.

    Args:
        begin: starts units of work.
        transactions: of changes that are recorded.
        limits: the places.
        clock: unix seconds.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        limits: QueueLimits,
        clock: Clock,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._limits = limits
        self._clock = clock

    async def list(self, principal: Principal) -> list[tuple[QueuedJob, Standing]]:
        """Return the jobs of the caller's organisation that wait or run; the operator sees all.

        The first to start comes first; those that run stand before them. Of other organisations'
        jobs, and of those in restricted projects that the caller takes no part in, a caller learns
        how many are before their own, and nothing else.
        """
        require(principal, "job.read")
        async with self._begin() as work:
            lines = list(await work.queue.every())
            seen = [one for one in lines if await _seen(work, principal, one)]
        now = self._clock()
        rows = [(one, standing(lines, one.job, self._limits, now)) for one in seen]
        return sorted(rows, key=lambda row: (not row[0].started, row[1].ahead, row[0].job))

    async def prioritise(self, principal: Principal, key: str, priority: int) -> Job:
        """Give a job that has not started another priority.

        Its organisation's administrators may, and who submitted it; or the operator.

        Raises:
            SecureFlowError: `not_found`, `forbidden`, `priority_refused`, `already_started`.
        """
        async with self._transactions() as transaction:
            work = transaction.work
            await work.lock(LOCK)
            found = await work.jobs.find(key)
            await permit(work, principal, "job.prioritise", found.project if found else "")
            job = await visible_job(work, principal, key)
            _check_whose(principal, job, await work.users.find(principal.user))
            check_priority(principal, max(priority, job.priority))
            line = await work.queue.of(key)
            if job.state not in _WAITS or (line is not None and line.started):
                raise SecureFlowError(
                    "already_started",
                    Text("Job {job} has started, or has ended.", job=key),
                    "A priority matters to jobs that wait for their turn.",
                )
            job = replace(job, priority=priority, updated=self._clock())
            await work.jobs.save(job)
            if line is not None:
                await work.queue.save(replace(line, priority=priority))
            document = {"job": key, "project": job.project, "priority": priority}
            document |= {"by": principal.user, "organisation": principal.organisation}
            transaction.record("job.prioritised", document)
            transaction.answer(job)
        return job


async def _seen(work: UnitOfWork, principal: Principal, line: QueuedJob) -> bool:
    if principal.operator or not principal.acts_for(line.organisation):
        return principal.operator
    job = await work.jobs.find(line.job)
    return job is None or await sees_work_of(work, principal, job.project)


_WAITS: Final = frozenset({JobState.PROPOSED, JobState.APPROVED})


def _check_whose(principal: Principal, job: Job, user: User | None) -> None:
    # The name of an erased account is free again: who has it since then did not submit the job.
    mine = user is not None and user.created <= job.created and principal.name == job.submitter
    admin = Role.ORGANISATION_ADMIN in principal.roles or mine
    if principal.operator or (admin and principal.acts_for(job.organisation)):
        return
    raise SecureFlowError(
        "forbidden",
        Text("{name} did not submit {job}.", name=principal.name, job=job.id),
        Text(
            "Ask {submitter}, or an administrator of {organisation}.",
            submitter=job.submitter,
            organisation=job.organisation,
        ),
    )
