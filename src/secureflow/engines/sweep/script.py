"""A sweep, top to bottom: consent to the whole list → one job after the other → table and report.

Each job is an ordinary training that the effect `RunJob` starts and waits for; its id follows from
the sweep's and its number, so that a repeated effect finds the same job. Parties accept it by their
approval of the sweep. A job that fails is a row of the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.domain.specs.sweep import SweepSpec
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.beginning import begin
from secureflow.engines.run.ending import abandon, report_of, succeed
from secureflow.engines.run.parts import run_part
from secureflow.engines.run.renewing import renewing
from secureflow.engines.run.run import Course, JobContext, record, seconds_now
from secureflow.engines.script import RunJob, Script, Tell
from secureflow.engines.sweep.disclosure import attacks, choosing, disclosure
from secureflow.engines.sweep.sections import sections
from secureflow.engines.sweep.settings import sets_of
from secureflow.engines.sweep.spending import quote_of, spending
from secureflow.engines.sweep.table import SUCCEEDED, Row, best_of, folded, row_of
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, text_in, with_texts


def sweep(context: JobContext[SweepSpec]) -> Script[dict[str, JSON]]:
    """Run the training at every point, in order; return the report.

    Raises:
        SecureFlowError: why the sweep ended without a table: `cancelled`, `no_point_succeeded`,
            `grant_revoked` before a point, those of consent.
    """
    course = Course(context)
    try:
        return (yield from renewing(course, _run(course)))
    except SecureFlowError as error:
        yield from abandon(course, error)
        raise


def _run(course: Course[SweepSpec]) -> Script[dict[str, JSON]]:
    spec = course.spec
    yield from begin(course, dict)
    rows: list[Row] = []
    for number, part in enumerate(spec.parts(course.context.job), 1):
        row = yield from _run_point(course, number, part)
        rows.append(row)
        if row["state"] != SUCCEEDED and spec.stop_on_failure:
            break
    if all(row["state"] != SUCCEEDED for row in rows):
        raise _none_succeeded(rows)
    best = best_of(spec, rows)
    finished = yield from seconds_now()
    outcome = {"points": len(rows), "best": best and best.get("job")}
    cosigners = yield from succeed(course, **outcome)
    return with_texts(_report(course, rows, cosigners, best) | {"finished": int(finished)})


def _run_point(
    course: Course[SweepSpec], number: int, part: TrainingSpec
) -> Script[dict[str, JSON]]:
    """Run the job of a point to its end, and put its outcome into the ledger."""
    context, spec = course.context, course.spec
    job, digest = part_id(context.job, number), spec_digest(part)
    counted = {"point": number, "points": len(spec.points)}
    begun = {**counted, "job": job, "sets": sets_of(spec, number), "state": "started"}
    yield Tell("point", begun, {**counted, "part": job})
    began = yield from seconds_now()
    effect = RunJob(job, dump(part), digest, quote_of(context.accounting, number))
    answer = yield from run_part("point", begun, effect)
    ended = yield from seconds_now()
    row = dict(row_of(spec, number, answer, round(ended - began, 3)))
    report: Mapping[str, Any] = answer.get("report") or {}
    if report.get("tee"):
        row["tee"] = report["tee"]
    document = {"part": job, "number": number, "spec": digest, "outcome": row["state"]}
    document |= {"model": (row.get("model") or {}).get("digest")}
    yield from record(course, [{"kind": "job.part", "document": document}])
    yield Tell("point", {**counted, **row})
    return row


def _none_succeeded(rows: list[Row]) -> SecureFlowError:
    first = rows[0].get("error") or {}
    return SecureFlowError(
        "no_point_succeeded",
        Text(
            "None of the {count} points that ran succeeded. The first: {reason}",
            count=len(rows),
            reason=text_in(first, "message") or rows[0]["state"],
        ),
        text_in(first, "hint")
        or Text("See how it ended: secureflow job show {job}.", job=rows[0]["job"]),
        {"jobs": [row["job"] for row in rows]},
    )


def _report(
    course: Course[SweepSpec], rows: list[Row], cosigners: list[str], best: JSON
) -> dict[str, JSON]:
    context, spec = course.context, course.spec
    tee = next((str(row["tee"]) for row in rows if row.get("tee")), "")
    return report_of(
        course,
        cosigners,
        protection=spec.training.protection,
        tee=tee,
        contributions={},
        rounds=sum(int(row.get("rounds") or 0) for row in rows),
        planned=len(spec.points),
        swept=list(spec.swept),
        points=rows,
        metric=spec.metric and dump(spec.metric),
        best=best,
        folds=folded(spec, rows),
        choosing=choosing(spec),
        sections=sections(spec, rows, best),
        privacy=spending(spec, context.accounting, rows),
        disclosure=disclosure(spec, tee),
        attacks=attacks(spec, tee),
    )
