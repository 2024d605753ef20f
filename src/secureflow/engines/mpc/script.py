"""A computation among parties, top to bottom: consent → the program's protocol → report.

`joint-sums` is one masked round: the sums of everything that was asked are opened once, and every
answer follows from them. Engines' programs run in attempts (`computed`).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.mpc.charges import SPENDING
from secureflow.engines.mpc.computed import computed
from secureflow.engines.mpc.disclosure import attacks, disclosure
from secureflow.engines.mpc.plan import mpc_plan
from secureflow.engines.mpc.sections import program_of, sections
from secureflow.engines.mpc.stage import STAGE
from secureflow.engines.run.beginning import begin
from secureflow.engines.run.ending import abandon, report_of, succeed
from secureflow.engines.run.protections import protection_of
from secureflow.engines.run.renewing import renewing
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import Course, JobContext, seconds_now
from secureflow.engines.script import Script, Tell
from secureflow.engines.secagg import MaskingPlan
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.errors import SecureFlowError

ROUND = Step(1, STAGE)


def computation(context: JobContext[MpcSpec]) -> Script[dict[str, JSON]]:
    """Run the job's program among the parties of its roster; return the report.

    Raises:
        SecureFlowError: why the job ended without one; the parties were notified and the end is in
            the ledger.
    """
    course = Course(context)
    try:
        run = _summed(course) if context.spec.masked else computed(course)
        return (yield from renewing(course, run))
    except SecureFlowError as error:
        yield from abandon(course, error)
        raise


def _summed(course: Course[MpcSpec]) -> Script[dict[str, JSON]]:
    context, spec = course.context, course.spec
    yield from begin(course, partial(_plans, course))
    began = yield from seconds_now()
    # Masks are bound to what the round starts from: here only to the spec.
    release = yield from protection_of(course).run_round(course, ROUND, context.digest)
    finished = yield from seconds_now()
    survivors, answered = release.survivors, release.body["answers"]
    row = _row(course, len(survivors), round(finished - began, 3))
    data = {**row, "rounds": 1, "stage": STAGE, "parties": survivors}
    yield Tell("round", data, {"round": 1, "rounds": 1})
    found: dict[str, JSON] = {
        "answers": digest(answered),
        "totals": release.body["sums_digest"],
        "program": spec.program,
    }
    cosigners = yield from succeed(course, **found, rounds=1)
    return report_of(
        course,
        cosigners,
        rounds=1,
        history=[row],
        program=program_of(spec),
        answers=answered,
        totals=release.body["totals"],
        sections=sections(spec, context.job, answered),
        survivors=survivors,
        privacy=SPENDING.section(spec, context.accounting, 1),
        disclosure=disclosure(spec),
        attacks=attacks(spec),
        finished=int(finished),
    )


def _plans(course: Course[MpcSpec]) -> dict[str, MaskingPlan]:
    context = course.context
    return {STAGE: mpc_plan(context.spec, context.job, context.digest)}


def _row(course: Course[MpcSpec], survivors: int, took: float) -> dict[str, Any]:
    spent = SPENDING.of_round(course.spec, course.context.accounting, 1)
    return {"round": 1, "survivors": survivors, "seconds": took, **spent}
