"""`secureflow job`: submit, watch, report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureflow.cli.answering import answer, questions, say_open
from secureflow.cli.bringing import brought
from secureflow.cli.cards import code_lines, privacy_line, show_metrics
from secureflow.cli.comparison import show_comparison
from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, say, show, write
from secureflow.cli.dry_runs import show_dry_run
from secureflow.cli.escaping import plain
from secureflow.cli.evaluation import show_evaluation
from secureflow.cli.files import write_text
from secureflow.cli.jobdiff import diff
from secureflow.cli.names import named
from secureflow.cli.pipelines import show_steps
from secureflow.cli.points import show_planned, show_points
from secureflow.cli.prediction import show_prediction
from secureflow.cli.psi import say_where, show_intersection
from secureflow.cli.queue import At, Prioritised, timing
from secureflow.cli.reportfiles import write_explanations, write_reports
from secureflow.cli.sections import show_sections
from secureflow.cli.session import client
from secureflow.cli.starts import requested
from secureflow.cli.statistics import show_answers, statistics
from secureflow.cli.sweeps import sweep
from secureflow.cli.texts import explained, part_of, said, t
from secureflow.cli.timetables import Every, Runs, Until, Window, show_runs, timed, times_of
from secureflow.domain.ids import part_id
from secureflow.kit.reading import finite, listed, members

if TYPE_CHECKING:
    from secureflow.domain.jobs import Job

app = group("Jobs: joint computations.")

Id = Annotated[str, typer.Argument(help=t("Id or name of the job."))]
RequestFile = Annotated[Path, typer.Argument(help=t("Job file (YAML or JSON)."))]
From = Annotated[
    str,
    typer.Option(
        "--from", help=t("Continue from another job's model, or from a round: JOB@ROUND.")
    ),
]
LogTo = Annotated[
    str,
    typer.Option(
        "--log-to",
        help=t(
            "Log its figures as they come: mlflow, mlflow:URI, tensorboard, tensorboard:FOLDER."
        ),
    ),
]
LogModel = Annotated[
    bool, typer.Option("--log-model", help=t("Log the released model and its card there, too."))
]
Html = Annotated[Path | None, typer.Option(help=t("Write the page to this file."))]
Pdf = Annotated[Path | None, typer.Option(help=t("Write it as PDF to this file."))]
_COLUMNS = ("id", "name", "kind", "state", "project", "organisation", "submitter", "created")
_PROGRESS = ("round", "rounds", "point", "points", "loss", "accuracy", "auc")
_REPORT = ("job", "name", "state", "protection", "tee", "rounds", "kept_round",
           "chosen_by", "privacy", "contributors")  # fmt: skip
_RARE = frozenset({"kept_round", "chosen_by", "privacy"})
"""Lines of a report that only jobs have that it is about."""
_FACTS = (
    *("id", "name", "state", "kind", "project", "submitter", "digest", "priority", "starts"),
    *("progress", "absent", "error"),
)


@app.command("list", help=t("List jobs, the newest first."))
def list_jobs(
    project: Annotated[str, typer.Option(help=t("Only of this project."))] = "",
    state: Annotated[str, typer.Option(help=t("Only in this state."))] = "",
    kind: Annotated[str, typer.Option(help=t("Only of this kind."))] = "",
    submitter: Annotated[str, typer.Option(help=t("Only by this person."))] = "",
    text: Annotated[str, typer.Option(help=t("Only with these words in id or name."))] = "",
    limit: Annotated[int, typer.Option(min=1, help=t("Show at most this many."))] = 10_000,
    output: Output = Form.TABLE,
) -> None:
    """List jobs."""
    with client() as connection:
        within = named(connection, "project", project) if project else ""
        found = connection.jobs.list(within, state, kind, submitter, text, newest=True)
        show(list(islice(found, limit)), output, _COLUMNS)


@app.command("show", help=t("Show one job."))
def show_job(job: Id, output: Output = Form.TABLE) -> None:
    """Show a job."""
    with client() as connection:
        found = connection.jobs.get(named(connection, "job", job))
        _show(found, output)
        if output is Form.TABLE and found.state == "proposed":
            say_open(connection, found.id)


app.command("questions", help=t("List what data owners ask about a job."))(questions)
app.command("answer", help=t("Answer a data owner's question about a job."))(answer)


@app.command("submit", help=t("Submit a job file."))
def submit(
    file: RequestFile,
    resume: From = "",
    dry_run: Annotated[bool, typer.Option(help=t("Only check it."))] = False,
    watch: Annotated[bool, typer.Option(help=t("Follow it until it ends."))] = False,
    at: At = "",
    every: Every = "",
    runs: Runs = None,
    until: Until = "",
    window: Window = "",
    priority: Prioritised = None,
    log_to: LogTo = "",
    log_model: LogModel = False,
    output: Output = Form.TABLE,
) -> None:
    """Submit a job file."""
    from secureflow.cli.watching import follow

    if (log_to or log_model) and not watch:
        raise typer.BadParameter(t("--log-to and --log-model need --watch."))
    if log_to or log_model:
        from secureflow.sdk.tracking import observer

        observer("", log_to or None, log_model=log_model)  # refuses it before anybody is asked

    more, times = timing(at, priority), times_of(at, every, runs, until, window)
    if dry_run:
        _check(file, resume, output, more, times)
        return
    with client() as connection:
        with brought(requested(connection, file, resume) | more, file.parent) as one:
            found = timed(one, times)
            found.send(connection)
            job = connection.jobs.submit(found.request)
        if not watch:
            _show(job, output)
            return
        say(t("{job}: submitted", job=job.id))
        follow(connection, job.id, log_to=log_to or None, log_model=log_model)
        _show(connection.jobs.get(job.id), output)


@app.command("dry-run", help=t("Check a job file and see the spec that parties would sign."))
def dry_run(
    file: RequestFile,
    resume: From = "",
    at: At = "",
    every: Every = "",
    runs: Runs = None,
    until: Until = "",
    window: Window = "",
    output: Output = Form.TABLE,
) -> None:
    """Check a job file without submitting it."""
    _check(file, resume, output, timing(at, None), times_of(at, every, runs, until, window))


app.command("diff", help=t("Show what two job files, or two jobs, differ in."))(diff)


app.command(
    "sweep",
    help=t("Run a training at many points, one after the other, and say which is the best."),
)(sweep)


app.command("statistics", help=t("Query the data of several owners for statistics with noise."))(
    statistics
)


@app.command(
    "watch", help=t("Follow a job until it ends; exit code 8 if it failed or was cancelled.")
)
def watch(job: Id, log_to: LogTo = "", log_model: LogModel = False) -> None:
    """Follow a job."""
    from secureflow.cli.watching import follow

    with client() as connection:
        key = named(connection, "job", job)
        follow(connection, key, log_to=log_to or None, log_model=log_model)


@app.command(
    "wait",
    help=t(
        "Wait for a job and show it; exit code 8 if it failed or was cancelled, 5 if "
        "it is paused until someone resumes it, 6 if time is up."
    ),
)
def wait(
    job: Id,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0, help=t("The maximum number of seconds to wait. Default: until it ends.")
        ),
    ] = None,
    log_to: LogTo = "",
    log_model: LogModel = False,
    output: Output = Form.TABLE,
) -> None:
    """Wait for a job, for programs: silent unless it is paused, then it prints why."""

    def paused(found: Job) -> None:
        say(t("{job} is paused: {why}", job=found.id, why=_why(found.error) or "?"))

    with client() as connection:
        key = named(connection, "job", job)
        to = log_to or None
        found = connection.jobs.wait(key, timeout, on_pause=paused, log_to=to, log_model=log_model)
        _show(found, output)


@app.command("cancel", help=t("Cancel a job."))
def cancel(job: Id, yes: Yes = False) -> None:
    """Cancel a job."""
    with client() as connection:
        key = named(connection, "job", job)
        confirmed(t("Cancel {what}?", what=key), yes)
        now = connection.jobs.cancel(key)
    if now.state == "cancelled":
        say(t("{what} is cancelled.", what=key))
    else:  # its driver, which may have to wait for something, ends it
        say(t("{what} will be cancelled; secureflow job wait {what} says when it is.", what=key))


@app.command("resume", help=t("Resume a paused job, if its script has not changed."))
def resume(job: Id) -> None:
    """Resume a paused job."""
    with client() as connection:
        key = named(connection, "job", job)
        connection.jobs.resume(key)
    say(t("{what} continues.", what=key))


def _protections(answer: Mapping[str, Any]) -> str:
    """Say how contributions were protected; of a job that starts others, of all of these."""
    named = [str(one) for one in listed(answer.get("protections")) if one != "none"]
    return ", ".join(map(said, named or [str(answer.get("protection") or "")]))


@app.command("report", help=t("Show an ended job's report, or write it as a page."))
def report(
    job: Id,
    html: Html = None,
    pdf: Pdf = None,
    output: Output = Form.TABLE,
) -> None:
    """Show or save a report."""
    with client() as connection:
        job = named(connection, "job", job)
        if write_reports(connection, job, html, pdf):
            return
        answer = connection.jobs.report(job)
    if output is not Form.TABLE:
        show(answer, output)
        return
    in_rounds = _has_rounds(answer)
    facts = {"contributors": _contributors(answer.get("contributions"), rounds=in_rounds)}
    if answer.get("privacy"):
        facts["privacy"] = privacy_line(answer["privacy"])
    facts["protection"] = _protections(answer)
    code = code_lines(answer.get("code"))
    lines = [one for one in _REPORT if one not in _RARE or answer.get(one) is not None]
    if not in_rounds:
        lines.remove("rounds")
    show(answer | facts | code, output, (*lines, *code))
    show_metrics(answer)
    show_comparison(answer)
    show_points(answer)
    show_runs(answer.get("runs"))
    if "answers" in answer:
        show_answers(answer, output)
    if "evaluation" in answer:
        show_evaluation(answer, output)
    if "prediction" in answer:
        show_prediction(answer, output)
    told = show_sections(answer)
    if "intersection" in answer:
        if told:
            say_where(answer)
        else:
            show_intersection(answer, output)


@app.command(
    "explain",
    help=t("Show who could see what of a job, what it cost and which attacks are stopped."),
)
def explain(
    job: Id,
    html: Html = None,
    pdf: Pdf = None,
    output: Output = Form.TABLE,
) -> None:
    """Explain a job."""
    from secureflow.cli.explaining import show_explanation

    with client() as connection:
        job = named(connection, "job", job)
        if write_explanations(connection, job, html, pdf):
            return
        explanation = connection.jobs.explain(job)
    if output is Form.TABLE:
        show_explanation(explanation)
    else:
        show(explanation, output)


@app.command("bundle", help=t("Write a job's audit bundle."))
def bundle(
    job: Id,
    save: Annotated[Path | None, typer.Option(help=t("File to write; default: stdout."))] = None,
) -> None:
    """Write the audit bundle."""
    from secureflow.cli.audit import received

    with client() as connection:
        value = received(connection.jobs.bundle(named(connection, "job", job)))
    text = json.dumps(value, ensure_ascii=False)
    if save is None:
        write(text)
        return
    write_text(save, text + "\n")
    say(t("Written to {path}.", path=save))


def _check(
    file: Path, resume: str, output: Form, more: dict[str, Any], times: dict[str, Any]
) -> None:
    with client() as connection:
        with brought(requested(connection, file, resume) | more, file.parent) as one:
            found = timed(one, times)
            answer = found.check(connection)
        show_dry_run(answer, output)
        found.tell()


def _show(job: Job, output: Form) -> None:
    if output is not Form.TABLE:
        show(job, output)
        return
    progress = {name: job.progress[name] for name in _PROGRESS if name in job.progress}
    if progress.get("rounds") == 1 and len(progress) == len({"round", "rounds"}):
        progress = {}  # one step without figures, which nobody calls a round
    extra: dict[str, Any] = {"progress": progress, "absent": _absent(job.progress)}
    extra["error"] = _why(job.error)
    begins = not job.state.final
    extra["priority"] = job.priority if begins else None
    extra["starts"] = _starts(job.spec.get("not_before")) if begins else None
    if waiting := job.progress.get("waiting"):
        from secureflow.cli.watching import waiting_lines

        extra["waiting"] = "\n".join(waiting_lines(waiting))
    show({**vars(job), **extra}, output, (*_FACTS, "waiting") if waiting else _FACTS)
    _show_points(job)


def _show_points(job: Job) -> None:
    """Print what a sweep has come to, or what it lists while it runs; nothing of other jobs."""
    if job.report is not None:
        show_points(job.report)
        show_steps(job.report)
    elif isinstance(listed := job.spec.get("points"), list):
        told = job.progress.get("point")
        begun = told if type(told) is int else 0
        write("")
        show_planned([
            {"point": at, "sets": one, "job": part_id(job.id, at) if at <= begun else None}
            for at, one in enumerate(listed, 1)
        ])  # fmt: skip


def _starts(not_before: Any) -> str:
    """Return when a job may begin at the earliest; empty for one that may at once."""
    return t("not before {when}", when=moment(not_before)) if moment(not_before) else ""


def _absent(progress: Mapping[str, Any]) -> str:
    """Return the parties that a job waits for because they have no link to this server."""
    from secureflow.application.jobs.reachability import KEY, absence_notes

    absent = progress.get(KEY)
    return "\n".join(map(said, absence_notes(absent))) if isinstance(absent, Mapping) else ""


def _has_rounds(report: Mapping[str, Any]) -> bool:
    """Tell whether what was computed went round by round: a training, or more than one step."""
    rounds = report.get("rounds")
    return bool(report.get("metrics")) or (finite(rounds) and rounds > 1)


def _contributors(contributions: Any, *, rounds: bool) -> str:
    """Return who contributed, to how many `rounds` if there are, with rows if it has them."""
    told = []
    for party, one in members(contributions).items():
        facts = members(one)
        number, rows = facts.get("rounds"), facts.get("rows")
        line = plain(party)
        if rounds:
            line = t("{party}: {rounds} {rounds:round|rounds}", party=party, rounds=number)
        if finite(rows) and (rounds or rows):
            line += t(", {rows} {rows:row|rows}", rows=f"{rows:,}")
        told.append(line)
    return "\n".join(told)


def _why(error: dict[str, Any] | None) -> str | None:
    """Return why a job ended, as a one-line error; details are for programs."""
    if not error:
        return None
    code, message, hint = (part_of(error, name) for name in ("code", "message", "hint"))
    return f"{code}: {explained(code, message)}" + (f" → {said(hint)}" if hint else "")
