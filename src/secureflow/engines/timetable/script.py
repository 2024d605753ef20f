"""A timetable, top to bottom: consent to all runs → wait, run, wait, run … → report.

Each run is an ordinary job that the effect `RunJob` starts and waits for; its id follows from the
timetable's and its number, so that a repeated effect finds the same job, and nothing runs twice.
Parties accept it by their approval of the timetable, at its time alone. A run whose time passed
(the one before still ran, nobody was there, somebody paused the timetable) is left out and noted:
runs never pile up. One that fails is noted, and the next one follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.domain.specs.timetable import TimetableSpec
from secureflow.engines.run.beginning import begin
from secureflow.engines.run.ending import abandon, report_of, succeed
from secureflow.engines.run.kind import EngineKind
from secureflow.engines.run.parts import run_part
from secureflow.engines.run.renewing import renewing
from secureflow.engines.run.run import Course, JobContext, record, seconds_now
from secureflow.engines.script import AwaitTime, RunJob, Script, Tell
from secureflow.engines.timetable.telling import (
    SKIPPED,
    SUCCEEDED,
    Row,
    disclosure,
    sections,
    spending,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, text_in, with_texts

SHOWN: Final = 20
"""Runs of which a job's progress tells, the newest."""
LEFT_OUT: Final = "timetable.skipped"
"""The ledger entry of a run that is left out."""
_WHY: Final = {
    "missed": "its time passed before it could begin",
    "overlapped": "the run before it had not ended",
    "paused": "the timetable was paused",
}


def timetable(context: JobContext[TimetableSpec], kind: EngineKind) -> Script[dict[str, JSON]]:
    """Start every run at its time; return the report.

    Args:
        context: the job.
        kind: of its runs.

    Raises:
        SecureFlowError: why it ended before its last run: `cancelled`, `submitter_gone`,
            `grant_revoked` before a run, `no_run_succeeded`, those of consent.
    """
    course = Course(context)
    try:
        return (yield from renewing(course, _run(course, kind)))
    except SecureFlowError as error:
        yield from abandon(course, error)
        raise


def _run(course: Course[TimetableSpec], kind: EngineKind) -> Script[dict[str, JSON]]:
    spec = course.spec
    yield from begin(course, dict)
    rows: list[Row] = []
    for number in range(1, spec.timetable.runs + 1):
        row = yield from _at_its_time(course, number, rows)
        rows.append(row)
        if row["state"] not in {SUCCEEDED, SKIPPED} and spec.stop_on_failure:
            break
    if all(row["state"] != SUCCEEDED for row in rows):
        raise _none_succeeded(rows)
    finished = yield from seconds_now()
    ran = sum(row["state"] != SKIPPED for row in rows)
    cosigners = yield from succeed(course, runs=ran, skipped=len(rows) - ran)
    return with_texts(_report(course, kind, rows, cosigners) | {"finished": int(finished)})


def _at_its_time(
    course: Course[TimetableSpec], number: int, before: Sequence[Row]
) -> Script[dict[str, JSON]]:
    """Wait for a run's time, then run it, or leave it out; return its row."""
    times, job = course.spec.timetable, part_id(course.context.job, number)
    at = times.at(number)
    counted: dict[str, JSON] = {"run": number, "runs": times.runs, "at": at, "job": job}
    yield Tell("run", {**counted, "state": "waits"}, _progress(number, at, before))
    answer = yield AwaitTime(at, at + times.window)
    if answer["state"] == "due":
        return (yield from _run_job(course, number, counted, before))
    why = str(answer["state"])
    if why == "missed" and before and int(before[-1].get("ended") or 0) > at:
        why = "overlapped"
    row = {**counted, "state": SKIPPED, "why": why, "reason": _WHY[why]}
    document = {"number": number, "at": at, "why": why}
    yield from record(course, [{"kind": LEFT_OUT, "document": document}])
    yield Tell("run", with_texts(row), _progress(number + 1, 0, [*before, row]))
    return row


def _run_job(
    course: Course[TimetableSpec], number: int, counted: dict[str, JSON], before: Sequence[Row]
) -> Script[dict[str, JSON]]:
    """Run a job to its end, and put its outcome into the ledger."""
    context, at = course.context, int(counted["at"])
    part = course.spec.run(context.job, number)
    job, digest = str(counted["job"]), spec_digest(part)
    quote = None if context.accounting is None else context.accounting["run"]
    started = {**counted, "state": "started"}
    yield Tell("run", started, {**_progress(number, at, before), "part": job})
    answer = yield from run_part("run", counted, RunJob(job, dump(part), digest, quote))
    ended = yield from seconds_now()
    report = answer.get("report") or {}
    row: dict[str, JSON] = {**counted, "state": answer["state"], "ended": int(ended)}
    row |= {"rounds": report.get("rounds")} if report else {"error": answer.get("error")}
    document = {"part": job, "number": number, "spec": digest, "outcome": row["state"]}
    document |= {"model": (report.get("model") or {}).get("digest")}
    yield from record(course, [{"kind": "job.part", "document": document}])
    yield Tell("run", row, _progress(number + 1, 0, [*before, row]))
    return row


def _progress(number: int, at: int, rows: Sequence[Row]) -> dict[str, JSON]:
    """Return what the job's progress says: the next run (0: none is awaited), and the last ones."""
    kept = ("run", "at", "job", "state", "why", "ended", "error")
    shown = [{name: row[name] for name in kept if name in row} for row in rows[-SHOWN:]]
    return {"next": {"run": number, "at": at}, "last": shown}


def _none_succeeded(rows: Sequence[Row]) -> SecureFlowError:
    failed = next((row for row in rows if row.get("error")), None)
    error: Any = {} if failed is None else failed["error"]
    reason = text_in(error, "message") or str(rows[0].get("reason") or rows[0]["state"])
    return SecureFlowError(
        "no_run_succeeded",
        Text(
            "None of the {count} runs of the timetable succeeded. The first: {reason}",
            count=len(rows),
            reason=reason,
        ),
        text_in(error, "hint") or "Submit it again, with times that its owners can keep.",
    )


def _report(
    course: Course[TimetableSpec], kind: EngineKind, rows: Sequence[Row], cosigners: list[str]
) -> dict[str, JSON]:
    spec = course.spec
    return report_of(
        course,
        cosigners,
        protection=spec.job.protection,
        contributions={},
        rounds=sum(int(row.get("rounds") or 0) for row in rows),
        planned=spec.timetable.runs,
        runs=list(rows),
        sections=sections(spec, rows),
        privacy=spending(spec, kind, course.context.accounting, rows),
        disclosure=disclosure(spec, kind, ""),
        attacks=kind.explanation(
            spec.job, tee="", accounting=None, rounds=(), dropouts=()
        )["attacks"],
    )  # fmt: skip
