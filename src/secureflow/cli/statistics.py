"""`secureflow job statistics`: queries on the command line, and how their answers are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from secureflow.cli.asking import Datasets, ask_for, datasets_of
from secureflow.cli.console import Form, Output, show, write
from secureflow.cli.names import named
from secureflow.cli.session import client
from secureflow.cli.texts import t
from secureflow.kit.reading import objects

_ANSWER = (
    *("query", "group", "cell", "quantile", "value", "exact", "low", "high", "standard_error"),
    "reason",
)

Query = Annotated[
    list[str],
    typer.Option(
        "--query",
        help=t("MEASURE[:COLUMN][:by=COLUMN][:bins=N][:q=Q,Q][:name=NAME]; may be repeated."),
    ),
]
Epsilon = Annotated[
    float | None,
    typer.Option(help=t("ε of all queries together; budgets are charged somewhat more.")),
]
Multiplier = Annotated[
    float | None, typer.Option(help=t("The noise multiplier, instead of an epsilon."))
]
Delta = Annotated[float, typer.Option(help=t("δ of the whole job; far below one in all rows."))]
Noise = Annotated[str, typer.Option(help=t("shared, party or local: who adds how much noise."))]
Mechanism = Annotated[str, typer.Option(help=t("gaussian or laplace."))]
Library = Annotated[str, typer.Option(help=t("opendp or pydp."))]


def statistics(
    project: Annotated[str, typer.Option(help=t("Id or name of the project."))],
    purpose: Annotated[str, typer.Option(help=t("What the answers are for, as granted."))],
    query: Query,
    dataset: Datasets = None,
    epsilon: Epsilon = None,
    noise_multiplier: Multiplier = None,
    delta: Delta = 1e-6,
    noise: Noise = "shared",
    mechanism: Mechanism = "gaussian",
    library: Library = "opendp",
    name: Annotated[str, typer.Option(help=t("Name of the job."))] = "statistics",
    dry_run: Annotated[bool, typer.Option(help=t("Only show what it would cost."))] = False,
    watch: Annotated[bool, typer.Option(help=t("Wait for the answers."))] = False,
    output: Output = Form.TABLE,
) -> None:
    """Ask for statistics."""
    from secureflow.domain.specs.base import parse
    from secureflow.domain.specs.statistics_request import NoiseRequest
    from secureflow.sdk import StatisticsRequest
    from secureflow.sdk.queries import queries

    privacy = parse(
        NoiseRequest,
        {
            "delta": delta,
            "noise": noise,
            "mechanism": mechanism,
            "library": library,
            "epsilon": epsilon,
            "noise_multiplier": noise_multiplier,
        },
        "request",
    )
    asked = queries(query)
    with client() as connection:
        within = named(connection, "project", project)
        ids = datasets_of(connection, within, dataset)
        request = StatisticsRequest(within, name, purpose, ids, asked, privacy)
        ask_for(connection, request, show_answers, output, dry_run=dry_run, watch=watch)


def show_answers(report: Mapping[str, Any], output: Form) -> None:
    """Print the answers of a report with their 95 % intervals."""
    from secureflow.domain.figures import answer_figures

    if output is not Form.TABLE:
        show(report.get("answers"), output)
        return
    rows = [
        {**answer_figures(row, str(answer.get("measure"))), "query": answer.get("name")}
        for answer in objects(report.get("answers"))
        for row in objects(answer.get("rows"))
    ]
    show(rows, output, _filled(rows))
    if any(row.get("standard_error") is not None for row in rows):
        write(
            t(
                "Every value has noise; low and high enclose the value without noise 95 times in "
                "100."
            )
        )


def _filled(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns in which any row has a value."""
    return [name for name in _ANSWER if any(row.get(name) not in (None, "") for row in rows)]
