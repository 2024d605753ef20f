"""A statistics job, top to bottom: consent → keys → one masked round → answers → report.

One sum of everything that was asked is opened once; the answers are computed from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.run.beginning import begin
from secureflow.engines.run.ending import abandon, report_of, succeed
from secureflow.engines.run.protections import protection_of
from secureflow.engines.run.renewing import renewing
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import Course, JobContext, seconds_now
from secureflow.engines.script import Script, Tell
from secureflow.engines.secagg import MaskingPlan
from secureflow.engines.statistics.answers import answers
from secureflow.engines.statistics.disclosure import attacks, disclosure
from secureflow.engines.statistics.plan import statistics_plan
from secureflow.engines.statistics.spending import spending
from secureflow.engines.statistics.stage import STAGE
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.errors import SecureFlowError

ROUND = Step(1, STAGE)


def federated_statistics(context: JobContext[StatisticsSpec]) -> Script[dict[str, JSON]]:
    """Answer the job's queries over every party of the roster; return the report.

    Raises:
        SecureFlowError: why the job ended without answers; the parties were notified and the end is
            in the ledger.
    """
    course = Course(context)
    try:
        return (yield from renewing(course, _run(course)))
    except SecureFlowError as error:
        yield from abandon(course, error)
        raise


def _run(course: Course[StatisticsSpec]) -> Script[dict[str, JSON]]:
    context = course.context
    yield from begin(course, partial(_plans, course))
    began = yield from seconds_now()
    # Masks are bound to what the round starts from: here only to the spec.
    release = yield from protection_of(course).run_round(course, ROUND, context.digest)
    finished = yield from seconds_now()
    survivors, totals = release.survivors, release.body["totals"]
    answered = answers(context.spec, np.array(totals, np.int64), len(survivors))
    yield _round_event(course, survivors, round(finished - began, 3))
    cosigners = yield from succeed(course, answers=digest(answered), rounds=1)
    return report_of(
        course,
        cosigners,
        rounds=1,
        answers=answered,
        survivors=survivors,
        totals=digest(totals),
        privacy=spending(context.spec, context.accounting, 1),
        disclosure=disclosure(context.spec),
        attacks=attacks(context.spec),
        finished=int(finished),
    )


def _plans(course: Course[StatisticsSpec]) -> dict[str, MaskingPlan]:
    context = course.context
    return {STAGE: statistics_plan(context.spec, context.job, context.digest)}


def _round_event(course: Course[StatisticsSpec], survivors: list[str], took: float) -> Tell:
    row: dict[str, Any] = {"round": 1, "survivors": len(survivors), "seconds": took}
    spent: Mapping[str, JSON] | None = spending(course.spec, course.context.accounting, 1)
    if spent is not None:
        row["epsilon"] = spent["epsilon"]
    data = {**row, "rounds": 1, "stage": STAGE, "parties": survivors}
    return Tell("round", data, {"round": 1, "rounds": 1})
