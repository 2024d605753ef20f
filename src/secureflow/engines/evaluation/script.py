"""An evaluation, top to bottom: consent → keys → a round of masked totals per model → report.

A round starts from the model that it measures, so that masks are bound to it.
"""

from __future__ import annotations

from functools import partial

from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.engines.evaluation.charges import SPENDING
from secureflow.engines.evaluation.disclosure import attacks, disclosure
from secureflow.engines.evaluation.plan import evaluation_plan
from secureflow.engines.evaluation.sections import sections
from secureflow.engines.evaluation.stage import STAGE
from secureflow.engines.ledger.reported import recorded
from secureflow.engines.run.beginning import begin
from secureflow.engines.run.comparison import Measured, compared, measured_in
from secureflow.engines.run.ending import abandon, report_of, succeed
from secureflow.engines.run.messages import ReleasedModel
from secureflow.engines.run.protections import protection_of
from secureflow.engines.run.renewing import renewing
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import Course, JobContext, seconds_now
from secureflow.engines.script import Script, Tell
from secureflow.engines.secagg import MaskingPlan
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.errors import SecureFlowError


def federated_evaluation(context: JobContext[EvaluationSpec]) -> Script[dict[str, JSON]]:
    """Measure the job's models on the rows of every party of the roster; return the report.

    Raises:
        SecureFlowError: why the job ended without one; the parties were notified and the end is in
            the ledger.
    """
    course = Course(context)
    try:
        return (yield from renewing(course, _run(course)))
    except SecureFlowError as error:
        yield from abandon(course, error)
        raise


def _run(course: Course[EvaluationSpec]) -> Script[dict[str, JSON]]:
    context, spec = course.context, course.spec
    yield from begin(course, partial(_plans, course))
    history: list[dict[str, JSON]] = []
    measured: list[dict[str, JSON]] = []
    for number, model in enumerate(spec.models, 1):
        course.start.model = ReleasedModel(model.digest, model.digest, model.bytes)
        began = yield from seconds_now()
        step = Step(number, STAGE, number - 1)
        release = yield from protection_of(course).run_round(course, step, model.digest)
        finished = yield from seconds_now()
        found = {**release.body["measured"], "contributors": list(release.survivors)}
        measured.append(found)
        row: dict[str, JSON] = {
            "round": number,
            "survivors": len(release.survivors),
            "seconds": round(finished - began, 3),
            **SPENDING.of_round(spec, context.accounting, number),
        }
        history.append(row)
        figures = {"model": model.digest, "figures": found["figures"]}
        data = {**row, "rounds": spec.planned_rounds, "stage": STAGE, **figures}
        progress = {"round": number, "rounds": spec.planned_rounds}
        yield Tell("round", {**data, "parties": release.survivors}, progress)
    course.start.model = None  # the models are not this job's
    outcome = digest(measured)
    ended = yield from seconds_now()
    evaluation = {"digest": outcome, "models": measured}
    told = measured_in(evaluation)
    comparison = compared([Measured(spec, told)])
    cosigners = yield from succeed(
        course, evaluation=outcome, rounds=spec.planned_rounds, **recorded(comparison)
    )
    return report_of(
        course,
        cosigners,
        rounds=spec.planned_rounds,
        history=history,
        evaluation=evaluation,
        measured=told,
        **({} if comparison is None else {"comparison": comparison}),
        sections=sections(evaluation),
        survivors=sorted(set.intersection(*(set(one["contributors"]) for one in measured))),
        privacy=SPENDING.section(spec, context.accounting, spec.planned_rounds),
        disclosure=disclosure(spec),
        attacks=attacks(spec),
        finished=int(ended),
    )


def _plans(course: Course[EvaluationSpec]) -> dict[str, MaskingPlan]:
    context = course.context
    return {STAGE: evaluation_plan(context.spec, context.job, context.digest)}
