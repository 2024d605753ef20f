"""`consent`: from the server's question to this organisation's signed approval.

An approval is a signature of kind `approval` over job, spec digest, party, expiry and the fewest
contributors, and the pseudonyms of the people who decided, if people have accounts here; it is a
ledger leaf, and it is on disk with the job's secret before it is sent.

The approval of a job that starts others covers these (`agent.job.parts`): each is checked like any
job and must not be forbidden by a policy, but nobody is asked again. A run of a timetable is
covered at its time alone, and by nothing else.

One that has expired while its job waits or runs is *renewed*: policies and people decide again,
about the same spec and the same publication of the data, and a new signature replaces it. Until
then this agent refuses every request of the job, whatever the centre shows.
"""

from __future__ import annotations

import asyncio
import secrets

from secureflow.agent.job.context import AgentContext
from secureflow.agent.job.guards import job_finished
from secureflow.agent.job.parts import (
    check_next,
    check_part,
    check_run,
    check_same_data,
    keep_approved,
)
from secureflow.agent.kinds.kind import AgentKinds
from secureflow.agent.owner.basemodels import check_bases
from secureflow.agent.owner.code import OwnerCode
from secureflow.agent.owner.consent import Allowed, Consent, check_request, read_spec
from secureflow.agent.owner.grants import Grants, Under
from secureflow.agent.owner.inbox import Inbox
from secureflow.agent.owner.keysecret import keep_key_secret
from secureflow.agent.owner.publications import Publication
from secureflow.agent.owner.stops import check_not_recalled, check_unstopped
from secureflow.agent.record.going import check_going
from secureflow.agent.record.records import JobRecord
from secureflow.agent.record.restored import ForgottenJobs, check_not_before_restore, forgotten
from secureflow.agent.record.room import Room
from secureflow.agent.verbs.ownends import check_not_ended, took_no_part
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import JobSpec, dump
from secureflow.engines.run.messages import ConsentReply, ConsentRequest, FinishRequest, as_body
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text, with_texts

_log = get_logger(__name__)


class Approvals:
    """Answers `consent`.

    Args:
        context: the party.
        kinds: the kinds of job.
        consent: decides.
        inbox: for people to decide.
        forgotten_jobs: finds jobs that are older than a restore.
        room: refuses a job that does not fit on the disk.
        code: fetches the code that a job brings.
        grants: the owner's.
    """

    def __init__(
        self,
        context: AgentContext,
        kinds: AgentKinds,
        consent: Consent,
        inbox: Inbox,
        forgotten_jobs: ForgottenJobs,
        room: Room,
        code: OwnerCode,
        grants: Grants,
    ) -> None:
        self._grants = grants
        self._context = context
        self._kinds = kinds
        self._consent = consent
        self._inbox = inbox
        self._forgotten_jobs = forgotten_jobs
        self._room = room
        self._code = code

    async def consent(self, request: ConsentRequest) -> dict[str, JSON]:
        """Approve or refuse; wait while a person is asked.

        Raises:
            SecureFlowError: see `agent.consent`; `dataset_not_published`, `declaration_changed`;
                `spec_digest_mismatch` if this job id was approved with another spec;
                `restored_since`; `job_finished` for one that a rolled-back record had lost, or in
                which this party has signed that it took no part;
                `approval_expired`.
            SecureFlowError: `script_retired` for a spec as only an older version drafts them;
                those of `check_part`; `engine_…`: it could not run here, and nobody is asked.
            InfrastructureError: `disk_full` for a job that does not fit; nobody is asked then.
        """
        with self._inbox.answering(request.job, request.digest):
            return await self._answer(request)

    async def _answer(self, request: ConsentRequest) -> dict[str, JSON]:
        context = self._context
        stored = self._stored(request)
        if stored is not None:
            return stored
        await self._forgotten_jobs.check(request.job)
        spec = read_spec(request.spec, request.digest, context.kinds.specs)
        check_unstopped(context.store, request.job, spec)
        whole = self._whole(request.job, spec)
        lapsed = context.store.job(request.job)
        if spec.dated and lapsed is None and not self._asked_before(request):
            error = _dated(request.job)
            await asyncio.to_thread(self._note_refusal, request.job, error)
            raise error
        if whole is not None and spec.not_after is not None and lapsed is None:
            check_run(request.job, spec, whole, context.clock())
        asked, publication = await self._check(spec)
        if whole is not None:
            check_same_data(request.job, whole, publication)
        await asyncio.to_thread(context.check_engine, spec)
        await self._code.see(spec)
        if lapsed is not None and lapsed.declared != _as_json(publication):
            raise _changed(request.job)
        facts = dict(asked)
        asked["epsilon"] = await context.budgets.expected_epsilon(request.job, spec)
        await context.probing.expect(request.job, spec, publication)
        asked["commitment"] = publication and publication.commitment
        named = request.job if whole is None else whole.job
        if whole is not None and context.clock() >= whole.expires:
            whole = None  # it covers nothing any more: its part is decided about like any job
        under = await self._under(named, spec, whole, asked)
        await self._check_parts(request.job, spec, asked, under)
        # Before the expiry is checked: a job that waits for disk space ends with that error.
        await asyncio.to_thread(self._room.for_job, spec)
        expires = self._expiry(request, spec, under)
        decided = await self._decide(
            request, spec, whole, asked, expires, renewing=lapsed is not None, under=under
        )
        if spec.parts(request.job):
            await context.budgets.make_ready(spec)
        async with context.locks[request.job]:
            stored = self._stored(request)  # the same request may have come twice meanwhile
            if stored is not None:
                return stored
            if await self._check(spec) != (facts, publication):
                raise _changed(request.job)
            return await asyncio.to_thread(
                self._commit, request, spec, decided, publication, asked, under
            )

    async def _under(
        self, job: str, spec: JobSpec, whole: JobRecord | None, asked: dict[str, JSON]
    ) -> Under | None:
        """Return the grant that a job fits, and put its id into what is decided about.

        A part is under the grant of its whole, and once that one's approval has expired it is asked
        about in its name: what was granted to the whole must still be in force.
        """
        if whole is not None:
            return None
        try:
            under = await asyncio.to_thread(self._grants.under, job, spec, asked)
        except InfrastructureError:
            raise
        except SecureFlowError as error:
            await asyncio.to_thread(self._note_refusal, job, error)
            raise
        if under is not None:
            asked["grant"] = under.grant
        return under

    async def _decide(
        self,
        request: ConsentRequest,
        spec: JobSpec,
        whole: JobRecord | None,
        asked: dict[str, JSON],
        expires: int,
        *,
        renewing: bool,
        under: Under | None,
    ) -> Allowed:
        """Have policies and people decide; its `whole`, None once that expired, covers a part.

        A refusal is noted.

        Raises:
            SecureFlowError: those of `Consent.decide`.
        """
        try:
            if whole is not None:
                self._consent.refuse_by_policy(request.job, asked)
                return Allowed(f"the approval of {whole.job}", min(expires, whole.expires))
            return await self._consent.decide(
                request.job, request.digest, dump(spec), asked, expires, renewing=renewing,
                under=under,
            )  # fmt: skip
        except InfrastructureError:
            raise  # not a decision
        except SecureFlowError as error:
            await asyncio.to_thread(self._note_refusal, request.job, error)
            await asyncio.to_thread(self._code.refused, spec)
            raise

    def _expiry(self, request: ConsentRequest, spec: JobSpec, under: Under | None) -> int:
        """Return until when an approval is valid at most, in unix seconds.

        Raises:
            SecureFlowError: `approval_expired`; `timetable_too_long`.
        """
        now, consent = self._context.clock(), self._context.settings.consent
        longest = consent.max_age
        if spec.times is not None:
            longest = consent.max_timetable
            if spec.times.ends > now + longest:
                raise _too_long(request.job, self._context.party, longest)
        expires = min(request.expires, now + longest)
        if expires > now:
            return expires if under is None else min(expires, under.terms.expires)
        raise SecureFlowError(
            "approval_expired",
            Text("Job {job} asks for an approval that has already expired.", job=request.job),
            "Submit the job again, and compare the clocks of both machines.",
        )

    async def _check(self, spec: JobSpec) -> tuple[dict[str, JSON], Publication | None]:
        """Return the input of the policies, and the publication of the requested data."""
        context = self._context
        # The centre chooses when large files are hashed: other jobs and the link go on meanwhile.
        bases = context.settings.base_models
        await asyncio.to_thread(check_bases, spec, bases, context.party)
        asked = check_request(
            spec,
            party=context.party,
            key=context.key.public,
            charter=context.charter.pinned(),
            settings=context.settings,
            check_columns=self._kinds.check_columns,
        )
        self._kinds.check_engines(spec, context.engines, context.party)
        return asked, context.publication(spec)

    def _whole(self, job: str, spec: JobSpec) -> JobRecord | None:
        """Return the approved job that this one is a part of; None for any other."""
        if spec.part_of is None:
            return None
        context = self._context
        return check_part(context.store, context.kinds.specs, job, spec, spec.part_of)

    async def _check_parts(
        self, job: str, spec: JobSpec, asked: dict[str, JSON], under: Under | None
    ) -> None:
        """Refuse a job for what its parts would be refused for: nobody is asked about them."""
        # The runs of a timetable are all alike.
        for number, part in enumerate(spec.parts(job if spec.times is None else ""), 1):
            request, _ = await self._check(part)
            await asyncio.to_thread(self._context.check_engine, part)
            request["epsilon"] = self._context.budgets.epsilon_of(part_id(job, number), part)
            self._consent.refuse_by_policy(job, {**request, "commitment": asked["commitment"]})
            if under is not None:
                self._grants.check_part(job, part, request, under)
            await asyncio.to_thread(self._room.for_job, part)

    def _asked_before(self, request: ConsentRequest) -> bool:
        """Tell whether a person here was asked already, by the version that drafted the spec."""
        return self._context.store.inbox_request(request.job, request.digest) is not None

    async def took_no_part(self, request: FinishRequest) -> bool:
        """Tell whether this party certainly signed nothing in a job that has ended."""
        return await took_no_part(self._context.store, self._forgotten_jobs, request)

    def withdraw(self, job: str) -> None:
        """Stop waiting for a decision: the job is over."""
        self._inbox.withdraw(job)

    def _stored(self, request: ConsentRequest) -> dict[str, JSON] | None:
        """Return the earlier approval of this very spec, if it has not expired."""
        store = self._context.store
        job = store.job(request.job)
        check_not_ended(store, request.job)
        check_not_before_restore(store, request.job, job)
        if job is None:
            return None
        if forgotten(job):
            raise job_finished(job)
        if job.digest != request.digest:
            raise SecureFlowError(
                "spec_digest_mismatch",
                Text("Job {job} was already approved, with another spec.", job=request.job),
                "A changed spec is another job.",
                {"approved": job.digest, "named": request.digest},
            )
        check_going(job)
        if not job.outcome and self._context.clock() >= job.expires:
            return None  # it is requested again
        answer: dict[str, JSON] | None = store.answer(f"consent/{request.job}")
        return answer

    def _commit(
        self,
        request: ConsentRequest,
        spec: JobSpec,
        decided: Allowed,
        publication: Publication | None,
        asked: dict[str, JSON],
        under: Under | None,
    ) -> dict[str, JSON]:
        context = self._context
        now, expires = context.clock(), decided.expires
        body: dict[str, JSON] = {
            "job": request.job,
            "spec": request.digest,
            "party": context.party,
            "expires": expires,
            "min_contributors": spec.min_contributors,
        }
        if decided.people:
            body["people"] = list(decided.people)
        approval = {"body": body, "signature": context.key.sign("approval", body)}
        record = JobRecord(
            request.job, request.digest, dump(spec), secrets.token_bytes(32), now, expires,
            declared=_as_json(publication),
        )  # fmt: skip
        with context.store.transaction():
            check_unstopped(context.store, request.job, spec)
            check_not_recalled(context.store, request.job, decided.item)
            renewed = context.store.job(request.job) is not None
            if renewed:
                context.store.renew_job(request.job, f"consent/{request.job}", expires)
            else:
                context.store.add_job(record)
            if spec.part_of is not None:
                check_next(context.store, request.job, spec.part_of)  # it may have ended meanwhile
                keep_approved(context.store, spec.part_of)
                run = spec.not_after is not None
                self._grants.take_part(request.job, spec.part_of.job, run=run)
            else:
                self._grants.take(request.job, spec, asked, under)
            self._code.approve(spec, request.job)
            if publication is not None and publication.dataset.key_column:
                keep_key_secret(context.store, context.key)
            leaf = context.witness.leaf("approval", request.job, request.digest, approval)
            if spec.parts(request.job):  # what its parts cost is theirs from now on
                context.budgets.reserve_now(record, spec)
                self._plan_tests(record, spec, publication, renewed=renewed)
            reply = as_body(ConsentReply(approval=approval, **context.leaf_reply(leaf)))
            context.store.keep_answer(f"consent/{request.job}", request.job, reply)
            facts = {"spec": request.digest, "by": decided.by, "expires": expires}
            facts |= {"people": list(decided.people)} if decided.people else {}
            facts |= {} if under is None else {"grant": under.grant}
            facts |= {} if asked.get("epsilon") is None else {"epsilon": asked["epsilon"]}
            action = "job.renewed" if renewed else "job.approved"
            context.store.note(now, action, request.job, **facts)
        _log.info(action.replace(".", "_"), job=request.job, by=decided.by)
        return reply

    def _plan_tests(
        self, job: JobRecord, spec: JobSpec, publication: Publication | None, *, renewed: bool
    ) -> None:
        """Set aside the ids that parts of a job will test here; the caller's transaction."""
        probing = self._context.probing
        if publication is not None and not renewed and (probes := probing.planned(spec)):
            probing.reserve_now(job, publication.dataset, probes)

    def _note_refusal(self, job: str, error: SecureFlowError) -> None:
        with self._context.store.transaction():
            by = error.details.get("by", "the agent's own rules")
            facts = with_texts({"code": error.code, "by": by, "reason": error.message})
            self._context.store.note(self._context.clock(), "job.refused", job, **facts)


def _as_json(publication: Publication | None) -> dict[str, JSON] | None:
    return None if publication is None else publication.as_json()


def _changed(job: str) -> SecureFlowError:
    return SecureFlowError(
        "declaration_changed",
        Text(
            "What {job} asks for was declared or published again while the request waited.", job=job
        ),
        "An approval covers what was asked: submit the job again.",
    )


def _dated(job: str) -> SecureFlowError:
    return SecureFlowError(
        "script_retired",
        Text(
            "{job} was drafted by an older version: whoever submitted it chose the validation "
            "rows of every party.",
            job=job,
        ),
        "Submit the job again.",
    )


def _too_long(job: str, party: str, longest: int) -> SecureFlowError:
    days = longest // 86_400
    return SecureFlowError(
        "timetable_too_long",
        Text(
            "{party} approves timetables for at most {days} days; {job} goes on for longer.",
            party=party,
            days=days,
            job=job,
        ),
        "Submit it with fewer runs, and again afterwards; its data owner sets "
        "consent.max_timetable.",
    )
