"""A preparation job, top to bottom: consent → keys → rounds of masked totals → recipe → report.

Each round starts from all totals before it. The last one's outcome is the recipe.
"""

from __future__ import annotations

from functools import partial

from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.recipes.charges import SPENDING
from secureflow.engines.recipes.disclosure import attacks, disclosure
from secureflow.engines.recipes.plan import preparation_plan
from secureflow.engines.recipes.sections import sections
from secureflow.engines.recipes.stage import STAGE
from secureflow.engines.run.beginning import begin
from secureflow.engines.run.ending import abandon, report_of, succeed
from secureflow.engines.run.messages import ReleasedModel
from secureflow.engines.run.protections import protection_of
from secureflow.engines.run.renewing import renewing
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import Course, JobContext, seconds_now
from secureflow.engines.script import Script, Tell
from secureflow.engines.secagg import MaskingPlan
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError


def federated_preparation(context: JobContext[PreparationSpec]) -> Script[dict[str, JSON]]:
    """Fit the job's steps over every party of the roster; return the report.

    Raises:
        SecureFlowError: why the job ended without a recipe; the parties were notified and the end
            is in the ledger.
    """
    course = Course(context)
    try:
        return (yield from renewing(course, _run(course)))
    except SecureFlowError as error:
        yield from abandon(course, error)
        raise


def _run(course: Course[PreparationSpec]) -> Script[dict[str, JSON]]:
    context, spec = course.context, course.spec
    yield from begin(course, partial(_plans, course))
    history: list[dict[str, JSON]] = []
    fitted: list[dict[str, JSON]] = []
    release = None
    for number in range(1, spec.planned_rounds + 1):
        began = yield from seconds_now()
        step = Step(number, STAGE, number - 1)
        release = yield from protection_of(course).run_round(course, step, context.digest)
        finished = yield from seconds_now()
        body = release.body
        course.start.model = ReleasedModel(body["model"], body["artifact"], body["size"])
        row: dict[str, JSON] = {
            "round": number,
            "survivors": len(release.survivors),
            "seconds": round(finished - began, 3),
            **SPENDING.of_round(spec, context.accounting, number),
        }
        history.append(row)
        fitted += body["fitted"]
        data = {**row, "rounds": spec.planned_rounds, "stage": STAGE, "fitted": body["fitted"]}
        progress = {"round": number, "rounds": spec.planned_rounds}
        yield Tell("round", {**data, "parties": release.survivors}, progress)
    if release is None:
        raise AssertionError(context.job)  # every plan has a round
    recipe, totals = release.body["recipe"], course.start.model
    course.start.model = None  # parties are told of models only
    ended = yield from seconds_now()
    cosigners = yield from succeed(course, recipe=recipe["digest"], rounds=spec.planned_rounds)
    return report_of(
        course,
        cosigners,
        rounds=spec.planned_rounds,
        history=history,
        recipe=recipe,
        totals=totals and totals.digest,
        fitted=fitted,
        sections=sections(fitted),
        survivors=release.survivors,
        privacy=SPENDING.section(spec, context.accounting, spec.planned_rounds),
        disclosure=disclosure(spec),
        attacks=attacks(spec),
        finished=int(ended),
    )


def _plans(course: Course[PreparationSpec]) -> dict[str, MaskingPlan]:
    context = course.context
    return {STAGE: preparation_plan(context.spec, context.job, context.digest)}
