"""Timetables: what runs when, and pausing it.

A timetable is a job (`domain.specs.timetable`): it is submitted, watched, reported and cancelled
like any other. While it is paused its runs are left out; only the organisation that paused it, or
the operator, takes it up again. Both are ledger entries. An owner who must be sure withdraws its
approval at its own agent (`secureflow agent job withdraw`): a pause is the centre's word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from secureflow.application.access import Principal, permit, require, seen_projects, visible_job
from secureflow.application.jobs.steering import check_steers
from secureflow.application.ports.storage import Page, UnitOfWork, UnitOfWorkFactory
from secureflow.application.running.driving import retry_stale
from secureflow.application.running.resuming import already_finished
from secureflow.application.running.timetabling import PAUSED
from secureflow.application.running.windups import TRIES
from secureflow.application.transactions import Transaction, Transactions
from secureflow.domain.jobs import Job, JobState
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

NAME: Final = "timetable"
"""The kind of job that a timetable is."""
Changed = Callable[[str], None]
"""Lets a job's driver look at it again."""


@dataclass(frozen=True)
class TimetableView:
    """A timetable as people see it; times in unix seconds.

    Args:
        job: its id.
        name, project, organisation, submitter: of the job.
        state: of the job; `paused_by` tells whether somebody paused the runs.
        of: the kind of job that runs.
        first, every, runs, window: the times, as the owners approved them.
        last_at: when the last run starts.
        next_run: number of the run that is awaited or runs; 0 for none.
        next_at: its time.
        paused_by: who paused it, by name, and for which organisation.
        last: the newest runs: `run`, `at`, `job`, `state`, `why` of one that was left out.
    """

    job: str
    name: str
    project: str
    organisation: str
    submitter: str
    state: JobState
    of: str
    first: int
    every: int
    runs: int
    window: int
    last_at: int
    next_run: int = 0
    next_at: int = 0
    paused_by: str = ""
    last: tuple[Mapping[str, Any], ...] = field(default=())

    @classmethod
    def of_job(cls, job: Job) -> TimetableView:
        """Return the view of a job of this kind."""
        times, run = job.spec["timetable"], job.progress.get("next") or {}
        first, every, runs = int(times["first"]), int(times["every"]), int(times["runs"])
        number = 0 if job.state.final else int(run.get("run") or 1)
        number = number if number <= runs else 0
        paused = job.progress.get(PAUSED) or {}
        return cls(
            job.id, job.name, job.project, job.organisation, job.submitter, job.state,
            str(job.spec["job"]["kind"]), first, every, runs, int(times["window"]),
            first + (runs - 1) * every, number, first + (number - 1) * every if number else 0,
            str(paused.get("by", "")), tuple(job.progress.get("last") or ()),
        )  # fmt: skip


class Timetables:
    """Use cases around timetables.

    Args:
        begin: starts units of work.
        transactions: of changes that are recorded.
        clock: unix seconds.
        changed: lets a driver look again.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        clock: Clock,
        changed: Changed,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._clock = clock
        self._changed = changed

    async def list(
        self, principal: Principal, *, project: str = "", cursor: str = "", limit: int = 50
    ) -> Page:
        """Return the timetables of projects that the caller sees, oldest first."""
        require(principal, "job.read")
        async with self._begin() as work:
            seen = await seen_projects(work, principal, project)
            if seen is None:
                return Page([])
            page = await work.jobs.list(cursor=cursor, limit=limit, kind=NAME, **seen)
        return replace(page, items=[TimetableView.of_job(job) for job in page.items])

    async def get(self, principal: Principal, key: str) -> TimetableView:
        """Return one (`not_found`)."""
        require(principal, "job.read")
        async with self._begin() as work:
            return TimetableView.of_job(await _timetable(work, principal, key))

    async def pause(self, principal: Principal, key: str) -> TimetableView:
        """Have its runs left out until it is taken up again; one that runs goes on to its end.

        Raises:
            SecureFlowError: `not_found`, `forbidden`, `already_finished`.
        """
        return await self._change(principal, key, "timetable.pause")

    async def resume(self, principal: Principal, key: str) -> TimetableView:
        """Take it up again; runs whose time has passed stay left out.

        Raises:
            SecureFlowError: `not_found`, `already_finished`; `forbidden` for other organisations
                than the one that paused it.
        """
        return await self._change(principal, key, "timetable.resume")

    async def _change(self, principal: Principal, key: str, action: str) -> TimetableView:
        async def changed() -> TimetableView:
            async with self._transactions(held=action == "timetable.pause") as transaction:
                return await self._changed_in(transaction, principal, key, action)

        view: TimetableView = await retry_stale(changed, TRIES)
        self._changed(key)
        return view

    async def _changed_in(
        self, transaction: Transaction, principal: Principal, key: str, action: str
    ) -> TimetableView:
        work = transaction.work
        found = await work.jobs.find(key)
        await permit(work, principal, action, found.project if found else "")
        job = await _timetable(work, principal, key)
        check_steers(principal, job)
        if job.state.final:
            raise already_finished(job)
        paused: Mapping[str, Any] | None = job.progress.get(PAUSED)
        wanted: dict[str, Any] | None = None
        if action == "timetable.pause":
            now = self._clock()
            wanted = {"by": principal.name, "organisation": principal.organisation, "at": now}
        elif paused is not None:
            _check_paused_by(principal, paused)
        if (paused is None) == (wanted is None):
            return transaction.answer(TimetableView.of_job(job))  # it is so already
        job = replace(job, progress={**job.progress, PAUSED: wanted}, updated=self._clock())
        await work.jobs.save(job)
        kind = "timetable.paused" if wanted else "timetable.resumed"
        whose = {"by": principal.user, "organisation": principal.organisation}
        transaction.record(kind, {"job": key, **whose})
        return transaction.answer(TimetableView.of_job(job))


async def _timetable(work: UnitOfWork, principal: Principal, key: str) -> Job:
    job = await visible_job(work, principal, key)
    if job.kind != NAME:
        raise SecureFlowError(
            "not_found",
            Text("Job {job} is no timetable.", job=key),
            "secureflow timetable list shows them.",
        )
    return job


def _check_paused_by(principal: Principal, paused: Mapping[str, Any]) -> None:
    whose = str(paused.get("organisation", ""))
    if principal.operator or principal.acts_for(whose):
        return
    raise SecureFlowError(
        "forbidden",
        Text("{organisation} paused the timetable.", organisation=whose),
        Text("Ask {organisation} to take it up again.", organisation=whose),
    )
