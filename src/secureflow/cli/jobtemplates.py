"""`secureflow template`: job files that most people begin with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureflow.cli.console import Form, Output, group, say, show, write
from secureflow.cli.files import write_text
from secureflow.cli.names import named, named_all
from secureflow.cli.session import client
from secureflow.cli.texts import said, t
from secureflow.kit.text import foreign

if TYPE_CHECKING:
    from secureflow.domain.jobtemplates import Filled

app = group("Templates of jobs: job files that most people begin with.")

Key = Annotated[str, typer.Argument(help=t("Name of the template."))]


@app.command("list", help=t("List the templates."))
def list_templates(output: Output = Form.TABLE) -> None:
    """List templates."""
    with client() as connection:
        found = connection.job_templates.list()
    if output is Form.TABLE:
        rows = [{"name": one.key, "title": said(one.title), "does": said(one.sentence)}
                for one in found]  # fmt: skip
        show(rows, output, ("name", "title", "does"))
    else:
        show(list(found), output)


@app.command("show", help=t("Show a template."))
def show_template(template: Key, output: Output = Form.TABLE) -> None:
    """Show a template."""
    with client() as connection:
        found = connection.job_templates.get(template)
    if output is Form.TABLE:
        told = {"name": found.key, "title": said(found.title), "does": said(found.sentence)}
        show({**told, "asks": ", ".join(found.asks)}, output)
        say(t("secureflow template new {name} --project PROJECT -o FILE", name=found.key))
    else:
        show(found, output)


@app.command("new", help=t("Write a job file, filled in from what the owners declare."))
def new(
    template: Key,
    project: Annotated[str, typer.Option(help=t("Id or name of the project."))],
    dataset: Annotated[
        list[str] | None,
        typer.Option(help=t("A dataset of each organisation; by default all that are granted.")),
    ] = None,
    name: Annotated[str, typer.Option(help=t("Name of the job."))] = "",
    label: Annotated[str, typer.Option(help=t("The column to predict."))] = "",
    positive: Annotated[str, typer.Option(help=t("The label's value that is class 1."))] = "",
    key: Annotated[
        list[str] | None,
        typer.Option(help=t("ORGANISATION=COLUMN by which rows are matched.")),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", help=t("Write here instead of the screen."))
    ] = None,
) -> None:
    """Write a job file."""
    keys = dict(map(_pair, key or ()))
    with client() as connection:
        within = named(connection, "project", project)
        chosen = (
            named_all(connection, "dataset", dataset)
            if dataset
            else tuple(one.id for one in connection.datasets.list(within))
        )
        made = connection.job_templates.fill(
            template, within, chosen, name=name, label=label, positive=positive, keys=keys
        )
    text = job_file(made)
    if file is None:
        write(text.rstrip("\n"))
        return
    write_text(file, text)
    say(t("{file}: check it with `secureflow job dry-run {file}`", file=file))


def _pair(given: str) -> tuple[str, str]:
    organisation, equals, column = given.partition("=")
    if not equals:
        raise typer.BadParameter(t("{given} is not ORGANISATION=COLUMN.", given=given))
    return organisation, column


def job_file(made: Filled) -> str:
    """Return a request as YAML, with its comments in the reader's language."""
    lines = _comment(made.comments.get(""), "")
    for name, value in made.request.items():
        lines += _comment(made.comments.get(name), "")
        if name == "steps" and isinstance(value, list):
            lines += ["steps:", *_steps(value, made.comments)]
        else:
            lines.append(
                _yaml({name: value}, flow=None if isinstance(value, list | dict) else False)
            )
    return "\n".join(lines) + "\n"


def _steps(steps: list[Any], comments: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    for step in steps:
        lines += _comment(comments.get(f"steps.{step.get('id')}"), "  ")
        lines += [f"  {line}" for line in _yaml([step]).splitlines()]
    return lines


def _comment(text: str | None, indent: str) -> list[str]:
    if not text:
        return []
    return [f"{indent}# {said(foreign(text))}"]


def _yaml(value: Any, flow: bool | None = None) -> str:
    """Return YAML; with `flow` None the innermost members stand on one line."""
    import yaml

    told: str = yaml.safe_dump(
        value, allow_unicode=True, default_flow_style=flow, sort_keys=False, width=100
    )
    return told.rstrip("\n")
