"""A job that another one starts: accepted by the approval of its whole, and only as that lists it.

Whoever approved the whole approved its parts: each of them follows from the whole's spec and id, so
this agent derives it and compares. What differs in any field is no part, whoever says it is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.agent.job.guards import check_not_early, check_not_late, job_finished
from secureflow.agent.owner.publications import Publication
from secureflow.agent.record.records import JobRecord
from secureflow.agent.record.stepmoments import MOMENTS
from secureflow.agent.record.store import RecordStore
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import JobSpec, spec_digest
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.partforms import Part, PartProblem, Stepwise
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_NEWEST: Final = "parts/"
"""Beginning of the fact that says which part of a job was approved last."""
_SIGNED: Final = "outputs/"
"""Beginning of the fact that holds what this party signed of the outputs of a job's parts."""
REFUSED: Final = "part_refused"
CONTRADICTS: Final = "signed_otherwise"
"""What this party itself signed says something else: no honest centre asks for that."""
_HINT: Final = "The centre must follow the spec that was approved."


def check_part(
    store: RecordStore, kinds: SpecKinds, job: str, spec: JobSpec, part_of: Part
) -> JobRecord:
    """Return the approved job that a part belongs to, if it is exactly what that one starts next.

    Args:
        store: the record.
        kinds: the kinds of job.
        job: the id under which the part is asked about.
        spec: its checked spec.
        part_of: what the spec says it is.

    Raises:
        SecureFlowError: those of `check_next`; `part_refused` for another id, another spec, or
            another number than its whole lists; `signed_otherwise` for a step that is skipped by
            figures which this party signed.
    """
    whole = check_next(store, job, part_of)
    approved = kinds.parse(whole.spec, stored=True)
    try:
        due = approved.due(whole.job, part_of.number, spec, OwnParts(store, kinds, whole.job))
    except PartProblem as problem:
        code = CONTRADICTS if problem.contradicts else REFUSED
        raise _refused(job, whole, problem.reason, code) from problem
    if job != part_id(whole.job, part_of.number):
        raise _refused(job, whole, "a part has one id, which follows from its whole")
    if spec_digest(spec) != spec_digest(due):
        reason = Text("its part {number} has another spec", number=part_of.number)
        raise _refused(job, whole, reason)
    return whole


def check_complete(store: RecordStore, kinds: SpecKinds, whole: JobRecord, spec: JobSpec) -> None:
    """Refuse a pipeline's success while a step of it has neither succeeded here nor is skipped.

    Nobody signs that a step is skipped: a centre could leave out the last ones, which no later step
    would miss, whatever figure their condition is on.

    Raises:
        SecureFlowError: `part_refused`.
    """
    if not isinstance(spec, Stepwise):
        return
    step = spec.left_out(OwnParts(store, kinds, whole.job))
    if step is not None:
        raise SecureFlowError(
            REFUSED,
            Text(
                "The centre ends {job} as a success, and its step {step} has neither ended here "
                "nor is to be skipped.",
                job=whole.job,
                step=step,
            ),
            _HINT,
            {"whole": whole.job},
        )


class OwnParts:
    """`partforms.PartRecord`: what this record holds of the parts of a job.

    Args:
        store: the record.
        kinds: the kinds of job.
        whole: the job's id.
    """

    def __init__(self, store: RecordStore, kinds: SpecKinds, whole: str) -> None:
        self._store = store
        self._kinds = kinds
        self._whole = whole

    def outcome(self, number: int) -> str | None:
        """Return how a part ended here; "" while it goes on, None if it was never approved."""
        known = self._store.job(part_id(self._whole, number))
        return None if known is None else known.outcome

    def signed(self, number: int) -> Mapping[str, Any] | None:
        """Return the digests of a part's outputs that this party signed; None if it did not."""
        fact = (self._store.fact(_SIGNED + self._whole) or {}).get(str(number))
        return None if fact is None else dict(fact)

    def part(self, number: int) -> tuple[JobSpec, str]:
        """Return the spec of an approved part, and its job's id.

        Raises:
            PartProblem: it was never approved here.
        """
        job = part_id(self._whole, number)
        known = self._store.job(job)
        if known is None:
            raise PartProblem(Text("its part {number} was never approved here", number=number))
        return self._kinds.parse(known.spec, stored=True), job

    def sign(self, number: int, outputs: Mapping[str, JSON]) -> None:
        """Remember what this party signed of a part's outputs; the caller's transaction."""
        known = self._store.fact(_SIGNED + self._whole) or {}
        self._store.set_fact(_SIGNED + self._whole, {**known, str(number): dict(outputs)})


def check_next(store: RecordStore, job: str, part_of: Part) -> JobRecord:
    """Return the approved job that a part belongs to, while it goes on and comes to this part.

    Raises:
        SecureFlowError: `not_approved` if the whole is not on record, `job_finished` if it is over,
            `part_refused` for a part before one that was approved.
    """
    whole = store.job(part_of.job)
    if whole is None:
        raise SecureFlowError(
            "not_approved",
            Text(
                "This organisation has not approved {whole}, of which {job} says that it is a "
                "part.",
                whole=part_of.job,
                job=job,
            ),
            "The centre must ask for consent to the whole first.",
        )
    if whole.outcome:
        raise job_finished(whole)
    if part_of.number < int(store.fact(_NEWEST + whole.job) or 0):
        raise _refused(job, whole, "a later part was approved already")
    return whole


def check_same_data(
    job: str, whole: JobRecord, publication: Publication | None
) -> None:  # fmt: skip
    """Refuse a part on data that was declared or published anew since its whole was approved.

    A timetable is for data that goes on: its runs read what the owner has published by then, as
    long as the declaration (columns, bounds, budget) is the one that was approved.

    Raises:
        SecureFlowError: `declaration_changed`.
    """
    approved, now = whole.declared, None if publication is None else publication.as_json()
    if whole.spec.get("timetable") is not None and approved is not None and now is not None:
        approved, now = approved["dataset"], now["dataset"]
    if approved == now:
        return
    raise SecureFlowError(
        "declaration_changed",
        Text(
            "The data of {job} was declared or published again since {whole} was approved.",
            job=job,
            whole=whole.job,
        ),
        "An approval covers what was asked: submit the whole again.",
    )


def keep_approved(store: RecordStore, part_of: Part) -> None:
    """Remember which part of a job was approved last; the caller's transaction."""
    store.set_fact(_NEWEST + part_of.job, part_of.number)


def forget_parts(store: RecordStore, job: str) -> None:
    """Forget that, because the job is over; the caller's transaction."""
    for name in (_NEWEST + job, _SIGNED + job, MOMENTS + job):
        if store.fact(name) is not None:
            store.set_fact(name, None)


def _refused(job: str, whole: JobRecord, reason: str, code: str = REFUSED) -> SecureFlowError:
    return SecureFlowError(
        code,
        Text("{job} is no part of {whole} as it was approved: {reason}.",
             job=job, whole=whole.job, reason=reason),
        _HINT,
        {"whole": whole.job},
    )  # fmt: skip


def check_run(job: str, spec: JobSpec, whole: JobRecord, now: int) -> None:
    """Refuse a run of a timetable outside of its time, or after its approval has expired.

    Nobody is asked about such a run: what was approved once covers it, or nothing does.

    Args:
        job: its id.
        spec: its spec, exactly as the timetable lists it.
        whole: the timetable.
        now: unix seconds.

    Raises:
        SecureFlowError: `too_early`, `too_late`, `approval_expired`.
    """
    check_not_early(job, spec.not_before, now)
    check_not_late(job, spec.not_after, now)
    if now >= whole.expires:
        raise SecureFlowError(
            "approval_expired",
            Text(
                "The approval of the timetable {whole}, of which {job} is a run, has expired.",
                whole=whole.job,
                job=job,
            ),
            "Submit the timetable again; consent is asked for again.",
        )
