"""`secureflow model predict-at`: a model on the rows of several owners, which keep the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureflow.cli.asking import Datasets, ask_for, datasets_of
from secureflow.cli.console import Form, Output, say, show
from secureflow.cli.escaping import plain
from secureflow.cli.names import named
from secureflow.cli.session import client
from secureflow.cli.texts import listed, t
from secureflow.kit import reading

if TYPE_CHECKING:
    from secureflow.sdk import Client

ModelName = Annotated[str, typer.Argument(help=t("Id or name of the model, or NAME@VERSION."))]
Beside = Annotated[
    list[str] | None,
    typer.Option(
        "--column", help=t("A column of the owners that stands beside it; may be repeated.")
    ),
]
Kept = Annotated[
    list[str] | None,
    typer.Option(
        "--kept",
        help=t(
            "What is kept of a row: predicted, probability or score; may be repeated. Default: "
            "the first two, if the model has probabilities."
        ),
    ),
]


def predict_at(
    model: ModelName,
    purpose: Annotated[str, typer.Option(help=t("What the predictions are for, as granted."))],
    dataset: Datasets = None,
    column: Beside = None,
    kept: Kept = None,
    to: Annotated[
        str,
        typer.Option(
            metavar="ORG",
            help=t("An organisation that gets a copy of every file; every owner is asked."),
        ),
    ] = "",
    least: Annotated[
        int | None, typer.Option(min=2, help=t("How many owners must be done. Default: all."))
    ] = None,
    name: Annotated[str, typer.Option(help=t("Name of the job."))] = "prediction",
    dry_run: Annotated[bool, typer.Option(help=t("Only show what it would be."))] = False,
    watch: Annotated[bool, typer.Option(help=t("Wait until the owners are done."))] = False,
    output: Output = Form.TABLE,
) -> None:
    """Predict rows at their owners, who keep the answers."""
    asked = {
        "columns": column or None,
        "outputs": kept or None,
        "min_contributors": least,
        "deliver": {"to": to} if to else None,
    }
    with client() as connection:
        request = _request(connection, model, dataset, asked)
        request |= {"name": name, "purpose": purpose}
        ask_for(connection, request, show_prediction, output, dry_run=dry_run, watch=watch)


def show_prediction(report: Mapping[str, Any], output: Form) -> None:
    """Print who is done, with the commitments to their files: that is all that a report has."""
    if output is not Form.TABLE:
        show(report.get("prediction") or {}, output)
        return
    prediction = reading.members(report.get("prediction"))
    kept = reading.members(prediction.get("kept"))
    rows = [{**reading.members(one), "party": plain(party)} for party, one in kept.items()]
    show(rows, output, ("party", "commitment", "leaf"))
    if delivered := reading.members(prediction.get("delivered")):
        say(
            t(
                "{to} has a copy of the files of: {parties}.",
                to=plain(str(delivered.get("to", ""))),
                parties=listed(map(plain, reading.listed(delivered.get("parties")))),
            )
        )
    say(
        t(
            "Each owner reads its own file: secureflow agent prediction show {job}",
            job=str(report.get("job", "")),
        )
    )


def _request(
    connection: Client, model: str, datasets: Sequence[str] | None, asked: Mapping[str, Any]
) -> dict[str, Any]:
    found = connection.models.get(named(connection, "model", model))
    return {
        "kind": "prediction",
        "project": found.project,
        "datasets": list(datasets_of(connection, found.project, datasets)),
        "model": found.id,
        **{name: value for name, value in asked.items() if value is not None},
    }
