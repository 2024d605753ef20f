"""`secureflow project`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from secureflow.cli.console import Form, Output, Yes, group, show
from secureflow.cli.names import decided, named
from secureflow.cli.session import client
from secureflow.cli.texts import t

if TYPE_CHECKING:
    from secureflow.domain.projects import Project

app = group("Projects and their members.")

Id = Annotated[str, typer.Argument(help=t("Id or name of the project."))]


@app.command("list", help=t("List your projects."))
def list_projects(output: Output = Form.TABLE) -> None:
    """List projects."""
    with client() as connection:
        projects = list(connection.projects.list())
    if output is Form.TABLE:
        rows = [_row(project) for project in projects]
        show(rows, output, ("id", "name", "purpose", "organisation", "members"))
    else:
        show(projects, output)


@app.command("show", help=t("Show one project."))
def show_project(project: Id, output: Output = Form.TABLE) -> None:
    """Show a project."""
    with client() as connection:
        _show(connection.projects.get(named(connection, "project", project)), output)


@app.command("create", help=t("Create a project."))
def create(
    name: Annotated[str, typer.Argument(help=t("Name of the project."))],
    purpose: Annotated[str, typer.Option(help=t("What data may be used for in the project."))],
    description: Annotated[str, typer.Option(help=t("A longer description for people."))] = "",
    output: Output = Form.TABLE,
) -> None:
    """Create a project."""
    with client() as connection:
        _show(connection.projects.create(name, purpose, description), output)


@app.command("invite", help=t("Invite an organisation."))
def invite(
    project: Id,
    organisation: Annotated[str, typer.Argument(help=t("Slug of the organisation."))],
    yes: Yes = False,
    output: Output = Form.TABLE,
) -> None:
    """Invite an organisation."""
    with client() as connection:
        (key,) = decided(connection, t("Invite into {project}?"), yes, project=project)
        _show(connection.projects.invite(key, organisation), output)


@app.command("accept", help=t("Accept an invitation."))
def accept(project: Id, yes: Yes = False, output: Output = Form.TABLE) -> None:
    """Accept an invitation."""
    with client() as connection:
        (key,) = decided(connection, t("Join {project}?"), yes, project=project)
        _show(connection.projects.accept(key), output)


@app.command("leave", help=t("Leave a project, or decline an invitation."))
def leave(project: Id, yes: Yes = False, output: Output = Form.TABLE) -> None:
    """Leave a project."""
    with client() as connection:
        (key,) = decided(connection, t("Leave {project}?"), yes, project=project)
        _show(connection.projects.leave(key), output)


def _show(project: Project, output: Form) -> None:
    show(_row(project) if output is Form.TABLE else project, output)


def _row(project: Project) -> dict[str, object]:
    members = [f"{m.organisation} ({t(m.state)})" for m in project.members]
    return {**vars(project), "members": members}
