"""`secureflow timetable`: jobs that run again and again, and how a job file is submitted as one."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, confirmed, group, moment, say, show
from secureflow.cli.escaping import plain
from secureflow.cli.names import named
from secureflow.cli.queue import unix_seconds
from secureflow.cli.session import client
from secureflow.cli.texts import t
from secureflow.cli.timespans import UNITS, spelled
from secureflow.kit.reading import objects

if TYPE_CHECKING:
    from secureflow.cli.bringing import Brought
    from secureflow.sdk.timetables import Timetable

app = group("Jobs that run again and again, at the times that their owners approved.")

Id = Annotated[str, typer.Argument(help=t("Id or name of the timetable."))]
Every = Annotated[
    str,
    typer.Option(
        "--every", metavar="TIME", help=t("Run it again and again: every 10m, 6h, 1d, 1w.")
    ),
]
Runs = Annotated[
    int | None, typer.Option("--runs", min=1, max=500, help=t("With --every: how many runs."))
]
Until = Annotated[
    str,
    typer.Option("--until", metavar="TIME", help=t("With --every: the last run is not after it.")),
]
Window = Annotated[
    str,
    typer.Option(
        "--window", metavar="TIME",
        help=t("With --every: a run that cannot begin within it is left out. Default: until the "
               "next one, at most 1d."),
    ),
]  # fmt: skip
_SPAN: Final = re.compile(r"([0-9]{1,6})([mhdw])")
_COLUMNS: Final = ("job", "name", "of", "every", "runs", "next", "state", "paused_by")
_LINES: Final = (*_COLUMNS[:5], "first", "last_at", "window", "next", "state", "paused_by")
_TITLES: Final = {
    "of": "kind",
    "runs": "number of runs",
    "first": "first run",
    "last_at": "last run",
    "window": "may begin within",
}
_WHY: Final = {
    "missed": "left out: its time passed before it could begin",
    "overlapped": "left out: the run before it had not ended",
    "paused": "left out: the timetable was paused",
}


@app.command("list", help=t("List the timetables of your projects."))
def list_timetables(
    project: Annotated[str, typer.Option(help=t("Only of this project."))] = "",
    output: Output = Form.TABLE,
) -> None:
    """List timetables."""
    with client() as connection:
        within = named(connection, "project", project) if project else ""
        found = list(connection.timetables.list(within))
    if output is not Form.TABLE:
        show(found, output)
        return
    show([_row(one) for one in found], output, tuple(_TITLES.get(one, one) for one in _COLUMNS))


@app.command("show", help=t("Show a timetable: the next run, and the newest ones."))
def show_timetable(job: Id, output: Output = Form.TABLE) -> None:
    """Show a timetable."""
    with client() as connection:
        found = connection.timetables.get(named(connection, "job", job))
    if output is not Form.TABLE:
        show(found, output)
        return
    show(_row(found), output, tuple(_TITLES.get(one, one) for one in _LINES))
    show_runs(found.last)


@app.command("pause", help=t("Leave its runs out until it is taken up again."))
def pause(job: Id) -> None:
    """Pause a timetable."""
    with client() as connection:
        key = named(connection, "job", job)
        connection.timetables.pause(key)
    say(t("{what} is paused: runs that come due are left out.", what=key))


@app.command("resume", help=t("Take a paused timetable up again."))
def resume(job: Id) -> None:
    """Take a timetable up again."""
    with client() as connection:
        key = named(connection, "job", job)
        connection.timetables.resume(key)
    say(t("{what} continues.", what=key))


@app.command("cancel", help=t("End a timetable: no further run, and the one that runs stops."))
def cancel(
    job: Id,
    yes: Annotated[bool, typer.Option("--yes", help=t("Do not ask for confirmation."))] = False,
) -> None:
    """Cancel a timetable."""
    with client() as connection:
        key = connection.timetables.get(named(connection, "job", job)).job
        confirmed(t("Cancel {what}?", what=key), yes)
        connection.jobs.cancel(key)
    say(t("{what} will be cancelled; secureflow job wait {what} says when it is.", what=key))


def times_of(at: str, every: str, runs: int | None, until: str, window: str) -> dict[str, Any]:
    """Return the members of a timetable as given on the command line; none without `--every`.

    Raises:
        typer.BadParameter: it is no time, or says neither how many runs there are nor until when.
    """
    if not every:
        if runs is not None or until or window:
            raise typer.BadParameter(t("--runs, --until and --window need --every."))
        return {}
    seconds = span(every)
    if (runs is None) == (not until):
        raise typer.BadParameter(
            t("Say how often it runs: --runs NUMBER, or --until TIME; consent is for a number.")
        )
    if runs is None:
        first = unix_seconds(at) if at else int(time.time())
        runs = (unix_seconds(until) - first) // seconds + 1
        if not 1 <= runs <= 500:
            raise typer.BadParameter(
                t("Until {until} it would run {runs} times; 1 to 500 are allowed.",
                  until=until[:40], runs=runs)
            )  # fmt: skip
    found = {"every": seconds, "runs": runs}
    return {**found, "window": span(window)} if window else found


def span(text: str) -> int:
    """Return the seconds of a span as people write it: 10m, 6h, 1d, 1w.

    Raises:
        typer.BadParameter: it is none.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(
            t("{text!r} is no span of time; write it like 10m, 6h, 1d or 1w.", text=text[:40])
        )
    return int(found[1]) * UNITS[found[2]]


def timed(found: Brought, times: Mapping[str, Any]) -> Brought:
    """Return what is submitted: the job, or a timetable of it."""
    from secureflow.sdk.timetables import repeating

    return replace(found, request=repeating(found.request, **times)) if times else found


def show_runs(runs: Any) -> None:
    """Print the table of a timetable's runs, if there are any; they are the centre's word."""
    if rows := [_run(one) for one in objects(runs, 500)]:
        show(rows, Form.TABLE, ("run", "at", "state", "job"))


def _row(one: Timetable) -> dict[str, Any]:
    coming = f"{one.next_run}: {moment(one.next_at)}" if one.next_run else ""
    row = {
        **asdict(one),
        "every": spelled(one.every),
        "window": spelled(one.window),
        "first": moment(one.first),
        "last_at": moment(one.last_at),
        "next": coming,
        "state": t(one.state),
    }
    return {_TITLES.get(name, name): value for name, value in row.items()}


def _run(one: Mapping[str, Any]) -> dict[str, Any]:
    why = _WHY.get(str(one.get("why")))
    state = t(why) if why else t(plain(str(one.get("state", ""))))
    job = "" if why else plain(str(one.get("job", "")))
    return {"run": one.get("run"), "at": moment(one.get("at")), "state": state, "job": job}
