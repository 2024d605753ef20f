"""Jobs: from a data scientist's request to the spec that every contributor signs.

The server fills in what it knows (roster, keys, versions) and refuses early what cannot work; none
of that is trusted: each agent checks the spec against its own charter, grants and policies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from secureflow.application import bundles, uploads
from secureflow.application.access import (
    Principal,
    check_working,
    permit,
    require,
    seen_projects,
    visible_job,
    working_project,
)
from secureflow.application.jobs.course import told_so_far
from secureflow.application.jobs.driver import Driver
from secureflow.application.jobs.kind import Cost, Drafted, JobKinds, Wanted
from secureflow.application.jobs.preview import noting, preview_of
from secureflow.application.jobs.reachability import Reachability, absence_notes, parties_of
from secureflow.application.jobs.rosters import TWO_ALONE, purpose_notes
from secureflow.application.jobs.starting import Released, check_released
from secureflow.application.jobs.steering import check_steers
from secureflow.application.jobs.submission import Submission
from secureflow.application.jobs.timing import (
    check_priority,
    checked_by_rules,
    consent_until,
    scheduled,
)
from secureflow.application.listing import EVERYTHING, Narrowing, narrowed
from secureflow.application.namedlocks import NamedLocks
from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.bus import Bus
from secureflow.application.ports.storage import Event, Filter, Page, UnitOfWork, UnitOfWorkFactory
from secureflow.application.projectstops import lock_project
from secureflow.application.quotas import Quotas
from secureflow.application.running.answering import with_approvals
from secureflow.application.running.partjobs import PART
from secureflow.application.running.resuming import (
    LEAF,
    already_finished,
    check_resumable,
    resumed,
    tries,
)
from secureflow.application.running.scripts import Scripts, course_of
from secureflow.application.transactions import Transactions
from secureflow.domain.clocks import wrong_clocks
from secureflow.domain.ids import new_id
from secureflow.domain.jobs import Job, JobState, JobSummary
from secureflow.domain.partyengines import check_engines
from secureflow.domain.room import centre_bytes
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.kind import SpecKinds
from secureflow.kit.clock import Clock
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.text import Text, text_in, with_texts

PAGE: Final = 500
"""Events per read."""
MERGE_SECONDS: Final = 0.05
"""Seconds between reads: a busy job wakes its watchers many times a second."""
LOOK_SECONDS: Final = 1.0
"""Seconds between reads while the database is away and only a part of the job waits for it."""


def topic(job: str) -> str:
    """Return the bus topic on which watchers of a job are woken."""
    return f"job/{job}"


async def _nothing(job: str, stage: str) -> Mapping[int, str]:
    del job, stage
    return {}


class Jobs:
    """Use cases around jobs.

    `reachability` tells which parties have no link here; `room` refuses a job that the disk has no
    room for; `waits` tells who waits for what in a running job, `released` which models a job
    released.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        driver: Driver,
        bus: Bus,
        clock: Clock,
        accountant: Accountant,
        quotas: Quotas,
        reachability: Reachability,
        kinds: JobKinds,
        stopping: Callable[[], bool] = lambda: False,
        room: Callable[[int], None] = lambda _: None,
        waits: Callable[[str], Sequence[dict[str, Any]]] = lambda _: [],
        released: Released = _nothing,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._driver = driver
        self._bus = bus
        self._clock = clock
        self._accountant = accountant
        self._quotas = quotas
        self._reachability = reachability
        self._kinds = kinds
        self._scripts = Scripts(kinds.engines)
        self._stopping = stopping
        self._room = room
        self._waits = waits
        self._released = released
        self._locks = NamedLocks()

    @property
    def kinds(self) -> SpecKinds:
        """The kinds of job that can be requested."""
        return self._kinds.engines.specs

    async def dry_run(
        self, principal: Principal, wanted: Wanted, missed: list[SecureFlowError] | None = None
    ) -> Submission:
        """Check a submission without creating a job (dry run): the same checks, no record.

        Of uploads that are still to come (`wanted.coming`) it is checked that they may. Into
        `missed` goes what keeps the job from running but not from being told; by default it is
        raised.
        """
        priced = None
        with noting(missed):
            priced = await self._price(principal, wanted)
        digest_known = not missed
        async with self._begin() as work:
            drafted = await self._draft(work, principal, wanted, priced)
            await self._check_coming(work, principal, wanted, drafted)
            spec = dump(drafted.spec)
            absent = await self._reachability.absent(work, parties_of(spec))
            purpose = await purpose_notes(work, wanted, drafted.spec, self._clock())
        for check in (self._check_engines, self._check_clocks, self._check_room):
            with noting(missed):
                check(drafted)
        notes = (*drafted.notes, *purpose, *absence_notes(absent))
        notes = tuple(sorted(notes, key=lambda one: TWO_ALONE not in str(one)))
        texts = {"notes": [one.as_json() if isinstance(one, Text) else None for one in notes]}
        preview = preview_of(self._kinds.engines, drafted)
        digest = drafted.digest if digest_known else ""
        return Submission(digest, spec, notes, drafted.details, texts, preview)

    async def submit(self, principal: Principal, wanted: Wanted) -> Job:
        """Propose a job to its contributors.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `not_a_member`, `charter_missing`,
                `charter_mismatch`, `invalid_spec`, `contradictory_spec`, `column_not_granted`,
                `unknown_column`, `budget_undeclared`, `budget_unit_mismatch`, `too_many_jobs`,
                `clock_skew` if it would fail because of a clock, `engine_absent` for an engine.
        """
        wanted = replace(wanted, coming=frozenset())
        priced = await self._price(principal, wanted)
        key = new_id("job")
        try:
            return await self._propose(principal, wanted, priced, key)
        except InfrastructureError:
            # It may have been committed all the same, and then nobody else would drive it.
            self._driver.start(key)
            raise

    async def _propose(
        self, principal: Principal, wanted: Wanted, priced: Cost | None, key: str
    ) -> Job:
        now = self._clock()
        async with self._transactions() as transaction:
            await lock_project(transaction.work, wanted.project)
            drafted = await self._draft(transaction.work, principal, wanted, priced)
            self._check_engines(drafted)
            self._check_clocks(drafted)
            self._check_room(drafted)
            if drafted.initial is not None:
                await uploads.named_by_job(transaction.work, wanted.project, drafted.initial)
            await self._quotas.another_job(transaction.work, principal.organisation)
            job = Job(
                id=key,
                project=wanted.project,
                organisation=principal.organisation,
                name=wanted.name,
                submitter=principal.name,
                kind=drafted.spec.kind,
                script=drafted.spec.script,
                spec=dump(drafted.spec),
                digest=drafted.digest,
                state=JobState.PROPOSED,
                created=now,
                updated=now,
                priority=wanted.priority,
                progress=course_of(
                    drafted.charter,
                    consent_until(drafted.spec, now),
                    None if priced is None else priced.answer,
                ),
            )
            await transaction.work.jobs.add(job)
            await self._driver.claim(transaction.work, job.id)
            await transaction.work.events.append(
                job.id, "state", now, {"state": job.state.value, "reason": "submitted"}
            )
            document = {"name": job.name, "project": job.project, "by": principal.user}
            transaction.record(
                "job.proposed",
                {**document, "organisation": job.organisation, "spec": job.digest},
                job=job.id,
                spec=job.digest,
            )
            job = transaction.answer(await self._reachability.placed(transaction.work, job))
        self._driver.start(job.id)
        return job

    async def get(self, principal: Principal, key: str) -> Job:
        """Return a job of a project in which the caller's organisation takes part.

        Its progress says who waits (`waiting`), if anyone does, and who `approved` it already.
        """
        require(principal, "job.read")
        async with self._begin() as work:
            job = await with_approvals(work, await visible_job(work, principal, key))
            job = await self._reachability.placed(work, job)
        waiting = self._waiting(job)
        return replace(job, progress={**job.progress, "waiting": waiting}) if waiting else job

    async def list(
        self,
        principal: Principal,
        *,
        project: str = "",
        state: str | Sequence[str] = "",
        kind: str = "",
        submitter: str = "",
        narrowing: Narrowing = EVERYTHING,
        cursor: str = "",
        limit: int = 50,
    ) -> Page:
        """Return summaries of the jobs that the caller sees; `state` may be several."""
        require(principal, "job.read")
        async with self._begin() as work:
            seen = await seen_projects(work, principal, project)
            if seen is None:
                return Page([])
            given: dict[str, Filter] = {"state": state, "kind": kind, "submitter": submitter}
            equals = {name: value for name, value in given.items() if value}
            page = await narrowed(work.jobs, narrowing, cursor, limit, **seen, **equals)
        return replace(page, items=[JobSummary.of(job) for job in page.items])

    async def cancel(self, principal: Principal, key: str) -> Job:
        """Cancel a job that the caller's organisation submitted or contributes to (or as operator).

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `already_finished`.
        """
        job = await self._steered(principal, "job.cancel", key)
        if job.state is JobState.CANCELLED and job.progress.get("cancel") == principal.name:
            return job  # by this very person, who may not have got the answer
        if job.state.final:
            raise already_finished(job)
        await self._driver.cancel(key, principal.name)
        return await self.get(principal, key)

    async def withdrawn(self, organisation: str, key: str, code: str) -> None:
        """End a job of whose roster an organisation is, because it stopped the job at its agent."""
        async with self._begin() as work:
            job = await work.jobs.find(key)
        if job is not None and not job.state.final and job.has_party(organisation):
            await self._driver.cancel(key, organisation, withdrawn=code)

    async def resume(self, principal: Principal, key: str) -> Job:
        """Resume a paused job, if the current script matches the job's journal.

        Everyone who may cancel a job may resume it; the ledger records who did.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `already_finished`, `not_paused`,
                `resumed_too_often`, `script_changed`, `rate_limited`; `project_closed`,
                `project_frozen`, `project_ended`.
        """
        job = await self._steered(principal, "job.resume", key)
        check_resumable(job)
        async with self._locks.hold(key):  # a replay is expensive, and a second one useless
            state = await self._driver.state_to_resume(key)
            try:
                return await self._resume(principal, key, state)
            finally:  # it may be committed despite the error; a paused job is not driven
                self._driver.start(key)

    async def _steered(self, principal: Principal, action: str, key: str) -> Job:
        """Return a job that the caller may cancel or resume."""
        async with self._begin() as work:
            found = await work.jobs.find(key)
            await permit(work, principal, action, found.project if found else "")
        job = await self.get(principal, key)
        check_steers(principal, job)
        return job

    async def _resume(self, principal: Principal, key: str, state: JobState) -> Job:
        now = self._clock()
        async with self._transactions() as transaction:
            paused = await transaction.work.jobs.get(key)
            check_resumable(paused)
            await lock_project(transaction.work, paused.project)
            if (project := await transaction.work.projects.find(paused.project)) is not None:
                check_working(project, now)
            job = resumed(paused, state, principal.name, now)
            await transaction.work.jobs.save(job)
            data = with_texts(
                {"state": state.value, "reason": Text("resumed by {name}", name=principal.name)}
            )
            await transaction.work.events.append(key, "state", now, data)
            transaction.record(
                LEAF,
                {
                    "by": principal.user,
                    "organisation": principal.organisation,
                    "paused_by": str((paused.error or {}).get("code", "")),
                    "try": len(tries(job)),
                },
                job=key,
                spec=job.digest,
                turn=len(tries(job)),
            )
            return transaction.answer(job)

    async def report(self, principal: Principal, key: str) -> dict[str, Any]:
        """Return the finished job's report.

        Raises:
            SecureFlowError: `not_found`, `not_finished`, or the job's own error if it failed.
        """
        job = await self.get(principal, key)
        if job.report is not None:
            return job.report
        if job.error is not None and job.state.final:
            raise SecureFlowError(
                "no_report",
                Text(
                    "Job {key} is {state} and has no report: {message}",
                    key=key,
                    state=job.state,
                    message=text_in(job.error, "message"),
                ),
                text_in(job.error, "hint")
                or Text("See how it ended: secureflow job show {key}.", key=key),
                {"error": job.error},
            )
        raise SecureFlowError(
            "not_finished",
            Text("Job {key} is {state}; its report comes at the end.", key=key, state=job.state),
            Text("Watch it: secureflow job watch {key}.", key=key),
        )

    async def explain(self, principal: Principal, key: str) -> dict[str, Any]:
        """Return who could see what of a job, running or ended, and its cost so far.

        Raises:
            SecureFlowError: `not_found`.
        """
        require(principal, "job.read")
        async with self._begin() as work:
            job = await visible_job(work, principal, key)
            rounds, dropouts = await told_so_far(work, key)
        return await asyncio.to_thread(self._scripts.explain, job, rounds, dropouts)

    async def history(
        self, principal: Principal, key: str, *, after: int = 0, limit: int = PAGE
    ) -> Sequence[Event]:
        """Return stored events of a job with id > `after`, oldest first (`not_found`)."""
        require(principal, "job.read")
        async with self._begin() as work:
            await visible_job(work, principal, key)
            return await work.events.after(key, after, limit)

    async def events(
        self, principal: Principal, key: str, after: int
    ) -> AsyncGenerator[Event, None]:
        """Yield the job's events with id > `after`, then new ones, until the job is finished.

        Who waits is reported in events that are not stored (id 0), whenever that changes; also
        while the database that the job waits for cannot be read.

        Raises:
            SecureFlowError: `not_found`, before the first event.
        """
        job: Job | None = None
        last_shown: Sequence[dict[str, Any]] = []
        async for _ in self._bus.listen(topic(key)):
            events: list[Event] = []
            while not events or len(events) == PAGE:
                try:
                    async with self._begin() as work:
                        # The state is read first, so that events of a job's last commit are not
                        # missed.
                        job = await visible_job(work, principal, key)
                        events = await work.events.after(key, after, PAGE)
                except InfrastructureError:
                    if job is None or not self._waiting(job):  # nobody would wake us
                        raise
                    if self._waits(key) or self._stopping():
                        break
                    await asyncio.sleep(LOOK_SECONDS)  # a part that waits wakes its own watchers
                    continue
                for event in events:
                    after = event.id
                    yield event
                if not events:
                    break
            assert job is not None  # noqa: S101  otherwise it was raised above
            if (waiting := self._waiting(job)) != last_shown:
                last_shown = waiting
                yield Event(0, key, "waiting", self._clock(), {"waiting": waiting})
            if job.state.final or self._stopping():
                return
            await asyncio.sleep(MERGE_SECONDS)

    def _waiting(self, job: Job) -> Sequence[dict[str, Any]]:
        """Return who waits in a job, or in the part of it that runs."""
        part = str(job.progress.get(PART, ""))
        return [] if job.state.final else [*self._waits(job.id), *self._waits(part)]

    async def _price(self, principal: Principal, wanted: Wanted) -> Cost | None:
        """Return the job's cost; this takes seconds, so no unit of work is open meanwhile.

        Only for members, and one at a time for each: the accountant has few slots.
        """

        async def unpriced() -> Drafted:
            async with self._begin() as work:
                return await self._draft(work, principal, wanted, None)

        async with self._begin() as work:
            await permit(work, principal, "job.submit", wanted.project)
            await working_project(work, principal, wanted.project, self._clock())
        async with self._locks.hold(principal.organisation):
            return await self._kinds.asked(wanted).price(wanted, self._accountant, unpriced)

    def _check_room(self, drafted: Drafted) -> None:
        """Refuse a job, with its parts, that stores more here than the disk has room for."""
        specs = (drafted.spec, *drafted.spec.parts(""))
        sent = self._kinds.engines.sent_vector
        self._room(sum(centre_bytes(one, sent(one, drafted.digest)) for one in specs))

    def _check_engines(self, drafted: Drafted) -> None:
        """Report in advance what a job would fail for: a missing engine."""
        spec, known = drafted.spec, self._reachability.engines_of
        check_engines(spec.engine_needed, {party: known(party) for party in spec.parties})

    def _check_clocks(self, drafted: Drafted) -> None:
        """Report in advance what a job would fail for: a wrong clock."""
        parties = parties_of(dump(drafted.spec))
        wrong = wrong_clocks({party: self._reachability.clock_of(party) for party in parties})
        if wrong is not None:
            raise wrong

    async def _draft(
        self, work: UnitOfWork, principal: Principal, wanted: Wanted, priced: Cost | None
    ) -> Drafted:
        check_priority(principal, wanted.priority)
        await permit(work, principal, "job.submit", wanted.project)
        project = await working_project(work, principal, wanted.project, self._clock())
        kind = self._kinds.asked(wanted)
        drafted = await kind.draft(work, wanted, principal.name, self._clock(), priced)
        if project.rules is not None:
            for one in checked_by_rules(drafted.spec):
                project.rules.check(one)
        if drafted.start is not None:
            await check_released(drafted.start, self._released)
        if drafted.initial is not None and drafted.initial.digest not in wanted.coming:
            await uploads.uploaded(work, wanted.project, drafted.initial)
        return scheduled(drafted, wanted, self._clock())

    async def _check_coming(
        self, work: UnitOfWork, principal: Principal, wanted: Wanted, drafted: Drafted
    ) -> None:
        """Refuse a job whose code or first weights are not there and may not be uploaded."""
        code, weights = drafted.spec.bundle, drafted.initial
        if code is not None and code.digest in wanted.coming:
            where = principal, wanted.project, code.digest
            await bundles.check_place(work, self._quotas, *where)
        if weights is not None and weights.digest in wanted.coming:
            what = wanted.project, weights, weights.size
            await uploads.check_place(work, self._quotas, principal, *what)
