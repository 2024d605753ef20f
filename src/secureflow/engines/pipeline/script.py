"""A pipeline, top to bottom: consent to all steps → step → all sign what it gave → step … → report.

Each step is an ordinary job that the effect `RunJob` starts and waits for; its id follows from the
pipeline's and the part's number, so that a repeated effect finds the same job. What a step gave is
filled into those that take it, here and at every party, and each party signs its digests before the
next step begins (`step`): so no later step can be given something else (ADR 21). A step that fails
pauses the pipeline; resumed, it is tried again under the same approval, as often as the spec says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import JobSpec, dump, spec_digest
from secureflow.domain.specs.outputs import Given, Outputs
from secureflow.domain.specs.pipeline import SKIPPED, SUCCEEDED, PipelineSpec
from secureflow.engines.ledger.reported import recorded
from secureflow.engines.pipeline.label import Kind, disclosure
from secureflow.engines.pipeline.telling import (
    attacks,
    comparison_of,
    privacy_of,
    quote_of,
    sections,
)
from secureflow.engines.run.asking import ask
from secureflow.engines.run.beginning import begin
from secureflow.engines.run.ending import abandon, report_of, succeed
from secureflow.engines.run.messages import StepRequest
from secureflow.engines.run.parts import run_part
from secureflow.engines.run.renewing import renewing
from secureflow.engines.run.run import Course, JobContext, record, seconds_now, take_leaves
from secureflow.engines.script import REPORTED_OF_STEPS, AwaitResume, RunJob, Script, Tell
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, text_in, with_texts

Row = dict[str, JSON]
Ends = tuple[dict[str, JSON], ...]
"""Parties' signed ends of a part (`engines.ledger.modelends`)."""
MOST_WAITS: Final = 5
"""How often it waits for somebody to resume it because parties did not sign a step's outputs."""
_OWN: Final = frozenset({"sections", "answers", "measured"})
"""Members of a step's report that no event tells."""
_ENDS_IT: Final = frozenset({"cancelled", "consent_refused"})


def pipeline(context: JobContext[PipelineSpec], kind: Kind) -> Script[dict[str, JSON]]:
    """Run every step; return the report.

    Args:
        context: the job.
        kind: of a step.

    Raises:
        SecureFlowError: why it ended before its last step: `cancelled`, `step_failed` naming the
            step, `grant_revoked` before a step, those of consent.
    """
    course = Course(context)
    try:
        return (yield from renewing(course, _run(course, kind)))
    except SecureFlowError as error:
        yield from abandon(course, error)
        raise


def _run(course: Course[PipelineSpec], kind: Kind) -> Script[dict[str, JSON]]:
    spec = course.spec
    yield from begin(course, dict)
    given: dict[str, Given] = {}
    rows: list[Row] = []
    signed: dict[int, dict[str, JSON]] = {}
    for place, step in enumerate(spec.steps, 1):
        if (why := spec.skips(signed.get).get(step.id)) is not None:
            rows.append((yield from _skip(course, place, why)))
            continue
        number, given[step.id], ends = yield from _step(course, place, given, rows)
        signed[number] = given[step.id].outputs.signed()
        yield from _sign(course, place, number, given[step.id].outputs, ends)
    finished = yield from seconds_now()
    comparison = comparison_of(spec, rows)
    cosigners = yield from succeed(course, steps=len(spec.steps), **recorded(comparison))
    told = _report(course, kind, rows, cosigners) | {"finished": int(finished)}
    return with_texts(told | ({} if comparison is None else {"comparison": comparison}))


def _skip(course: Course[PipelineSpec], place: int, why: Text) -> Script[Row]:
    """Put into the ledger that a step does not run, and why; return its row."""
    spec, number = course.spec, course.spec.number(place, 1)
    step = spec.steps[place - 1]
    ended = yield from seconds_now()
    row: Row = {"step": step.id, "place": place, "steps": len(spec.steps), "number": number,
                "kind": step.job.kind, "job": "", "state": SKIPPED, "ended": int(ended),
                "reason": why}  # fmt: skip
    document = {"part": part_id(course.context.job, number), "number": number, "step": step.id}
    document |= {"outcome": SKIPPED, "reason": str(why), "outputs": {}}
    yield from record(course, [{"kind": "job.part", "document": document}])
    told = with_texts(row)
    yield Tell("step", told, {"step": step.id, "place": place})
    return told


def _step(
    course: Course[PipelineSpec], place: int, given: Mapping[str, Given], rows: list[Row]
) -> Script[tuple[int, Given, Ends]]:
    """Run a step until an attempt succeeds; return the part's number, what it gave, and ends of it.

    Raises:
        SecureFlowError: `step_failed` if the last attempt failed, or nothing can be tried.
    """
    spec, job = course.spec, course.context.job
    for number in spec.numbers(place):
        try:
            part = spec.derived(job, number, given)
        except SecureFlowError as error:
            raise _failed(course, place, error, 0) from error
        row, outputs, ends = yield from _attempt(course, number, part)
        rows.append(row)
        if outputs is not None:
            return number, Given(part, str(row["job"]), outputs), ends
        left = spec.numbers(place)[-1] - number
        failed = _failed(course, place, row.get("error") or {"message": row["state"]}, left)
        if not left:
            raise failed
        yield AwaitResume(failed.as_json())
    raise AssertionError(place)  # the last attempt returned or raised


def _attempt(
    course: Course[PipelineSpec], number: int, part: JobSpec
) -> Script[tuple[Row, Outputs | None, Ends]]:
    """Run a part to its end, and put its outcome into the ledger."""
    context, spec = course.context, course.spec
    place, attempt = spec.place(number)
    job, digest, step = part_id(context.job, number), spec_digest(part), spec.steps[place - 1].id
    counted: Row = {"step": step, "place": place, "steps": len(spec.steps), "number": number}
    counted |= {"attempt": attempt, "kind": part.kind, "job": job}
    yield Tell("step", {**counted, "state": "started"}, {"step": step, "place": place, "part": job})
    effect = RunJob(job, dump(part), digest, quote_of(context.accounting, step))
    answer = yield from run_part("step", counted, effect)
    ended = yield from seconds_now()
    report = answer.get("report") or {}
    row: Row = {**counted, "state": answer["state"], "ended": int(ended)}
    row |= {name: report[name] for name in REPORTED_OF_STEPS if name in report}
    if answer["state"] != SUCCEEDED:
        row["error"] = answer.get("error")
    outputs = Outputs.read(answer.get("outputs") or {}) if answer["state"] == SUCCEEDED else None
    if outputs is not None and not spec.decides(step):
        outputs = replace(outputs, metrics=None)
    document = {"part": job, "number": number, "step": step, "spec": digest}
    document |= {"outcome": row["state"], "outputs": {} if outputs is None else outputs.signed()}
    yield from record(course, [{"kind": "job.part", "document": document}])
    told = {name: one for name, one in row.items() if name not in _OWN}
    yield Tell("step", told)
    return row, outputs, tuple(answer.get("ends") or ())


def _sign(
    course: Course[PipelineSpec], place: int, number: int, outputs: Outputs, ends: Ends
) -> Script[None]:
    """Have every party sign what a step gave; wait for a person while some do not.

    Args:
        course: the pipeline.
        place: of the step.
        number: of the part.
        outputs: what it gave.
        ends: of parties that compared its model, for those that could not.

    Raises:
        SecureFlowError: `step_failed`.
    """
    request = StepRequest(**course.named, number=number, outputs=outputs.signed(), ends=ends)
    course.ledger.steps = {**(course.ledger.steps or {}), number: request.outputs}
    for left in reversed(range(MOST_WAITS)):
        try:
            answers = yield from ask(course.parties, request, patience=course.patience)
            take_leaves(course, answers.replies)
            return
        except SecureFlowError as error:
            if error.code in _ENDS_IT:
                raise
            failed = _failed(course, place, error.as_json(), left)
        if not left:
            raise failed
        yield AwaitResume(failed.as_json())


def _failed(
    course: Course[PipelineSpec], place: int, error: SecureFlowError | JSON, left: int
) -> SecureFlowError:
    """Return the error of a step, with how often it may be tried again."""
    spec, told = course.spec, error.as_json() if isinstance(error, SecureFlowError) else error
    step = spec.steps[place - 1].id
    message = Text(
        "The step {step} of {name} failed: {reason}",
        step=step,
        name=spec.name,
        reason=text_in(told, "message") or str(told.get("code", "")),
    )
    hint = (
        Text(
            "Remove the cause, then try the step again under the same approval, up to {left} "
            "{left:time|times}: secureflow job resume {job}.",
            left=left,
            job=course.context.job,
        )
        if left
        else text_in(told, "hint")
        or "Submit it again; steps that succeeded have models and reports."
    )
    details = {"step": step, "place": place, "code": told.get("code", "")}
    return SecureFlowError("step_failed", message, hint, details)


def _report(
    course: Course[PipelineSpec],
    kind: Kind,
    rows: Sequence[Row],
    cosigners: Sequence[str],
) -> dict[str, JSON]:
    spec = course.spec
    tee = next((str(row["tee"]) for row in rows if row.get("tee")), "")
    return report_of(
        course,
        cosigners,
        tee=tee,
        contributions={},
        rounds=sum(int(row.get("rounds") or 0) for row in rows),
        planned=len(spec.steps),
        protections=list(dict.fromkeys(one.job.protection for one in spec.steps)),
        steps=[
            {name: one for name, one in row.items() if name not in _OWN - {"answers"}}
            for row in rows
        ],
        sections=sections(spec, rows),
        privacy=privacy_of(spec, kind, course.context.accounting, rows),
        disclosure=disclosure(spec, kind, tee),
        attacks=attacks(spec, kind),
    )
