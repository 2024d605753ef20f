"""`secureflow data`: descriptions and grants (publishing is `secureflow agent data`)."""

from __future__ import annotations

from typing import Annotated

import typer

from secureflow.cli.console import Form, Output, Yes, group, say, show, write
from secureflow.cli.names import decided, named
from secureflow.cli.session import client
from secureflow.cli.texts import t

app = group("Dataset descriptions, and who may use them.")

Id = Annotated[str, typer.Argument(help=t("Id or name of the dataset, or ORGANISATION/NAME."))]
InProject = Annotated[str, typer.Option("--project", help=t("Only of this project."))]


@app.command("list", help=t("List the datasets that you may see."))
def list_datasets(project: InProject = "", output: Output = Form.TABLE) -> None:
    """List datasets."""
    columns = ("id", "organisation", "name", "title", "rows", "created")
    with client() as connection:
        within = named(connection, "project", project) if project else ""
        show(list(connection.datasets.list(within)), output, columns)


@app.command("show", help=t("Show a dataset's declared columns."))
def show_dataset(dataset: Id, output: Output = Form.TABLE) -> None:
    """Show a dataset."""
    with client() as connection:
        described = connection.datasets.get(named(connection, "dataset", dataset))
    if output is not Form.TABLE:
        show(described, output)
        return
    write(f"{described.organisation}/{described.name}: {described.title}, {described.rows}")
    if described.privacy is not None:
        unit, rows = described.privacy.unit, described.privacy.rows_per_person
        write(
            t(
                "Its budget is kept per {unit}; at most {rows} rows of each count.",
                unit=t(unit),
                rows=rows,
            )
        )
    if described.key is not None:
        write(t("Jobs can hold its rows out by the key in the column {key}.", key=described.key))
    elif described.keyed:
        write(t("Jobs can hold its rows out by person."))
    seldom = ("shape", "dtype", "fit", "length", "clip")
    told = [one for one in seldom if any(getattr(column, one) for column in described.columns)]
    columns = ("name", "type", "categories", "bounds", *told, "sensitive")
    show(list(described.columns), output, columns)


@app.command("grant", help=t("Let a project use one of your datasets."))
def grant(
    dataset: Id,
    project: Annotated[str, typer.Argument(help=t("Id or name of the project."))],
    column: Annotated[
        list[str] | None, typer.Option(help=t("A column; may be repeated. Default: all columns."))
    ] = None,
    purpose: Annotated[
        list[str] | None, typer.Option(help=t("A purpose; may be repeated. Default: any purpose."))
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help=t("How long it lasts."))] = 90,
    yes: Yes = False,
    output: Output = Form.TABLE,
) -> None:
    """Grant a dataset to a project of a dataset."""
    with client() as connection:
        question = t("Grant {project} the use of {dataset}?")
        given = {"dataset": dataset, "project": project}
        what, whom = decided(connection, question, yes, **given)
        granted = connection.datasets.grant(what, whom, column or (), purpose or (), days)
        show(granted, output)


@app.command("grants", help=t("List grants."))
def grants(project: InProject = "", output: Output = Form.TABLE) -> None:
    """List grants."""
    columns = ("id", "dataset", "organisation", "project", "purposes", "expires", "revoked")
    with client() as connection:
        within = named(connection, "project", project) if project else ""
        show(list(connection.grants.list(within)), output, columns)


@app.command("revoke", help=t("Withdraw a grant."))
def revoke(grant: Annotated[str, typer.Argument(help=t("Id of the grant."))]) -> None:
    """Withdraw a grant."""
    with client() as connection:
        connection.grants.revoke(grant)
    say(t("{what} is revoked.", what=grant))
