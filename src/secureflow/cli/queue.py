"""`secureflow queue`: jobs that wait for their turn."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, group, moment, say, show
from secureflow.cli.names import named
from secureflow.cli.session import client
from secureflow.cli.texts import t

app = group("Jobs that wait for their turn.")

At = Annotated[
    str,
    typer.Option(
        "--at",
        metavar="TIME",
        help=t("Do not start it before, like 2030-01-31T02:00+08:00; 90 days ahead at most."),
    ),
]
Prioritised = Annotated[
    int | None,
    typer.Option(
        "--priority", min=0, max=9, help=t("Which waiting job goes first, from 0 to 9. Default: 5.")
    ),
]
_COLUMNS: Final = ("job", "organisation", "user", "priority", "state", "ahead", "waits_for")
_REASONS: Final = {
    "": "",
    "time": "its time: {at}",
    "running": "a free place at the server",
    "of_organisation": "a free place of its organisation",
    "of_user": "a free place of its submitter",
}


@app.command("list", help=t("List the jobs of your organisation that wait or run."))
def list_queue(output: Output = Form.TABLE) -> None:
    """List the queue."""
    with client() as connection:
        found = connection.queue.list()
    rows = [asdict(one) for one in found.items]
    show(rows if output is not Form.TABLE else list(map(_row, rows)), output, _COLUMNS)
    if not rows:
        say(t("No job waits or runs. Submit one: secureflow job submit FILE"))


@app.command("prioritise", help=t("Give a job that has not started another priority."))
def prioritise(
    job: Annotated[str, typer.Argument(help=t("Id or name of the job."))],
    priority: Annotated[
        int, typer.Argument(min=0, max=9, help=t("From 0 to 9; the highest goes first."))
    ],
) -> None:
    """Change a priority."""
    with client() as connection:
        key = named(connection, "job", job)
        connection.queue.prioritise(key, priority)
    say(t("{what} has priority {priority}.", what=key, priority=priority))


def timing(at: str, priority: int | None) -> dict[str, Any]:
    """Return the members of a job file that say when it starts, as given on the command line.

    Args:
        at: time, as people write it; "" for none.
        priority: from 0 to 9, or None.

    Raises:
        typer.BadParameter: it is no time.
    """
    found: dict[str, Any] = {"not_before": unix_seconds(at)} if at else {}
    return found if priority is None else found | {"priority": priority}


def _row(line: dict[str, Any]) -> dict[str, Any]:
    started = line["started"]
    reason = t(_REASONS.get(line["waits_for"], ""), at=moment(line["not_before"]))
    return {
        **line,
        "state": t("runs") if started else t("waits"),
        "ahead": "" if started else line["ahead"],
        "waits_for": reason,
    }


def unix_seconds(text: str) -> int:
    """Return the unix seconds of a time as people write it: ISO 8601, here's zone if none is given.

    Raises:
        typer.BadParameter: it is no time.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            t("{text!r} is no time; write it like 2030-01-31T02:00+08:00.", text=text[:40])
        ) from error
    return int((found if found.tzinfo else found.astimezone()).astimezone(UTC).timestamp())
