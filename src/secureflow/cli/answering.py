"""`secureflow job questions` and `answer`: what data owners ask about a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, moment, say, show
from secureflow.cli.escaping import plain
from secureflow.cli.names import named
from secureflow.cli.session import client
from secureflow.cli.texts import t

if TYPE_CHECKING:
    from secureflow.sdk import Client
    from secureflow.sdk.questions import JobQuestion

Id = Annotated[str, typer.Argument(help=t("Id or name of the job."))]
_COLUMNS: Final = ("organisation", "number", "asked", "question", "answered", "answer")


def questions(job: Id, output: Output = Form.TABLE) -> None:
    """List questions."""
    with client() as connection:
        found = connection.jobs.questions(named(connection, "job", job)).items
    rows: list[Any] = list(found)
    if output is Form.TABLE:
        rows = [_row(one) for one in found]
    show(rows, output, _COLUMNS)
    if output is Form.TABLE and not found:
        say(t("Nobody has asked anything about this job."))


def answer(
    job: Id,
    text: Annotated[str, typer.Argument(help=t("The answer, of 4096 bytes at most."))],
    to: Annotated[str, typer.Option(help=t("Organisation that asked, if several did."))] = "",
) -> None:
    """Answer a question."""
    with client() as connection:
        told = connection.jobs.answer(named(connection, "job", job), text, to)
    say(t("Answered; {organisation} decides.", organisation=told.organisation))


def say_open(connection: Client, job: str) -> None:
    """Say which questions about a job wait for an answer; an older centre knows of none."""
    from secureflow.kit.errors import SecureFlowError

    try:
        found = connection.jobs.questions(job).items
    except SecureFlowError:
        return
    for one in found:
        if one.answered is None:
            say(
                t(
                    "{organisation} asks: {question}",
                    organisation=one.organisation,
                    question=plain(one.question),
                )
            )
            say(t("secureflow job answer {job} TEXT", job=one.job))


def _row(one: JobQuestion) -> dict[str, Any]:
    return {
        "organisation": one.organisation,
        "number": one.number,
        "asked": moment(one.asked),
        "question": one.question,
        "answered": moment(one.answered) if one.answered else t("not answered yet"),
        "answer": one.answer or "-",
    }
