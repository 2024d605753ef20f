"""`secureflow project`: projects, their members, and their life cycle."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from secureflow.cli import projectpeople, projectrecord
from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, say, show
from secureflow.cli.deeds import last_day
from secureflow.cli.names import decided, named
from secureflow.cli.session import client
from secureflow.cli.texts import said, t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secureflow.domain.projectrecord import Activity
    from secureflow.domain.projects import NamedPerson, Project

app = group("Projects and their members.")
app.add_typer(projectpeople.app, name="people")
app.add_typer(projectrecord.templates, name="template")
app.command("activity", help=t("Show who did what in a project, newest first."))(
    projectrecord.activity
)
app.command("received", help=t("Show what the parties of a project received so far."))(
    projectrecord.received
)

_SHOWN: Final = 5
"""Deeds that `show` lists."""
_NEVER: Final = "never"
Id = Annotated[str, typer.Argument(help=t("Id or name of the project."))]
Ends = Annotated[
    str,
    typer.Option(help=t("Last day on which jobs run (YYYY-MM-DD, UTC); `never` removes it.")),
]
Restricted = Annotated[
    bool | None,
    typer.Option(
        "--restricted/--open",
        help=t("Whether only people with a role in the project see its work and take part."),
    ),
]


@app.command("list", help=t("List your projects."))
def list_projects(output: Output = Form.TABLE) -> None:
    """List projects."""
    with client() as connection:
        projects = list(connection.projects.list())
    if output is Form.TABLE:
        rows = [_row(project) for project in projects]
        show(rows, output, ("id", "name", "purpose", "organisation", "members", "state"))
    else:
        show(projects, output)


@app.command(
    "show", help=t("Show one project: its state, members, people, rules, and what happened last.")
)
def show_project(project: Id, output: Output = Form.TABLE) -> None:
    """Show a project."""
    with client() as connection:
        key = named(connection, "project", project)
        found = connection.projects.get(key)
        if output is not Form.TABLE:
            show(found, output)
            return
        people: Sequence[NamedPerson] = ()
        deeds: Sequence[Activity] = ()
        try:
            people = connection.projects.people(key)
            deeds = connection.projects.activity(key, limit=_SHOWN).items
        except SecureFlowError as error:  # one that is only invited sees the project alone
            if error.code != "not_found":
                raise
    show({**_row(found), **_details(found)}, output)
    if people:
        show([projectpeople.row(one) for one in people], output, projectpeople.COLUMNS)
    if deeds:
        show([projectrecord.row(one) for one in deeds], output, projectrecord.COLUMNS)


@app.command("create", help=t("Create a project."))
def create(
    name: Annotated[str, typer.Argument(help=t("Name of the project."))],
    purpose: Annotated[
        str,
        typer.Option(help=t("What data may be used for in the project; the template's if none.")),
    ] = "",
    description: Annotated[str, typer.Option(help=t("A longer description for people."))] = "",
    ends: Ends = "",
    restricted: Restricted = None,
    template: Annotated[
        str, typer.Option(help=t("Template whose rules it keeps (project template list)."))
    ] = "",
    output: Output = Form.TABLE,
) -> None:
    """Create a project."""
    with client() as connection:
        if template:
            model = connection.projects.template(template)
            purpose, description = purpose or model.purpose, description or model.description
        if not purpose:
            raise SecureFlowError(
                "invalid_request",
                t("A project needs a purpose."),
                t("Give --purpose, or a --template that has one."),
            )
        made = connection.projects.create(
            *(name, purpose, description),
            ends=_end(ends) or None,
            restricted=bool(restricted),
            template=template,
        )
        _show(made, output)


@app.command(
    "change", help=t("Change a project's name, description, end date, or who sees its work.")
)
def change(
    project: Id,
    name: Annotated[str | None, typer.Option(help=t("Name of the project."))] = None,
    description: Annotated[
        str | None, typer.Option(help=t("A longer description for people."))
    ] = None,
    ends: Ends = "",
    restricted: Restricted = None,
    output: Output = Form.TABLE,
) -> None:
    """Change a project; its purpose never changes."""
    with client() as connection:
        key = named(connection, "project", project)
        _show(
            connection.projects.change(
                key,
                name=name,
                description=description,
                ends=_end(ends) if ends else None,
                restricted=restricted,
            ),
            output,
        )


@app.command("freeze", help=t("Let no job run in a project until it is thawed."))
def freeze(
    project: Id,
    reason: Annotated[str, typer.Option(help=t("Why, for the members, while it is frozen."))] = "",
    yes: Yes = False,
    output: Output = Form.TABLE,
) -> None:
    """Freeze a project; its unfinished jobs are cancelled."""
    with client() as connection:
        key = named(connection, "project", project)
        confirmed(t("Freeze {project} and cancel its unfinished jobs?", project=key), yes)
        _show(connection.projects.freeze(key, reason), output)


@app.command("thaw", help=t("Let jobs run in a project again."))
def thaw(project: Id, output: Output = Form.TABLE) -> None:
    """Thaw a project."""
    with client() as connection:
        key = named(connection, "project", project)
        _show(connection.projects.thaw(key), output)
    say(t("It is not frozen. Jobs that a freeze cancelled have to be submitted again."))


@app.command("archive", help=t("Close a project for good; it stays readable and verifiable."))
def archive(project: Id, yes: Yes = False, output: Output = Form.TABLE) -> None:
    """Archive a project."""
    with client() as connection:
        key = named(connection, "project", project)
        confirmed(
            t("Archive {project} for good, ending its grants and unfinished jobs?", project=key),
            yes,
        )
        _show(connection.projects.archive(key), output)


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


def _end(day: str) -> int:
    """Return the unix second at which a last day is over; 0 for none.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    if day in ("", _NEVER):
        return 0
    try:
        last = date.fromisoformat(day)
        over = datetime.combine(last + timedelta(days=1), datetime.min.time(), UTC)
    except (ValueError, OverflowError):
        raise SecureFlowError(
            "invalid_request",
            t("{day!r} is no day.", day=day[:40]),
            t("Write it as YYYY-MM-DD, or `never`."),
        ) from None
    return int(over.timestamp())


def _show(project: Project, output: Form) -> None:
    show({**_row(project), **_details(project)} if output is Form.TABLE else project, output)


def _row(project: Project) -> dict[str, Any]:
    members = [f"{m.organisation} ({t(m.state)})" for m in project.members]
    return {
        **{name: getattr(project, name) for name in _FACTS},
        "members": members,
        "state": _state(project),
        **({"description": said(project.description)} if project.template else {}),
    }


def _state(project: Project) -> str:
    state = project.state_at(int(time.time())).value
    if state == "active":  # of a member the word is another one
        return t("under way")
    return t("past its end date") if state == "ended" else t(state)


_FACTS: Final = ("id", "name", "purpose", "organisation", "created", "description")


def _details(project: Project) -> dict[str, Any]:
    """Return what a table says of a project only if there is something to say."""
    told: dict[str, Any] = {}
    if project.frozen is not None:
        told["frozen"] = moment(project.frozen.at)
        told["frozen_by"] = project.frozen.organisation or t("operator")
        told |= {"reason": project.frozen.reason} if project.frozen.reason else {}
    if project.closed is not None:
        told["archived"] = moment(project.closed)
    if project.ends is not None:
        told["ends"] = last_day(project.ends)
    if project.restricted:
        told["restricted"] = project.restricted
    if project.rules is not None:
        told |= {"template": project.template, **projectrecord.rules(project.rules)}
    return told
