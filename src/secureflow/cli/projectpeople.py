"""`secureflow project people`: who has which roles in a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, show
from secureflow.cli.names import named
from secureflow.cli.session import client
from secureflow.cli.texts import t

if TYPE_CHECKING:
    from secureflow.domain.projects import NamedPerson
    from secureflow.sdk import Client

app = group("People with roles in a project.")
COLUMNS: Final = ("user", "name", "organisation", "roles", "since")
Id = Annotated[str, typer.Argument(help=t("Id or name of the project."))]
User = Annotated[str, typer.Argument(help=t("Id or name of the user."))]


@app.command("list", help=t("List who has which roles in a project."))
def list_people(project: Id, output: Output = Form.TABLE) -> None:
    """List the people of a project."""
    with client() as connection:
        people = connection.projects.people(named(connection, "project", project))
    if output is Form.TABLE:
        show([row(one) for one in people], output, COLUMNS)
    else:
        show(list(people), output)


@app.command(
    "set",
    help=t(
        "Give a person of your organisation roles in a project; from the first one on, roles in "
        "the project decide for all of its people."
    ),
)
def set_person(
    project: Id,
    user: User,
    roles: Annotated[list[str], typer.Argument(help="lead | scientist | reviewer | auditor")],
    output: Output = Form.TABLE,
) -> None:
    """Give a person exactly these roles in a project."""
    with client() as connection:
        key, person = named(connection, "project", project), named(connection, "user", user)
        connection.projects.set_person(key, person, roles)
        people = connection.projects.people(key)
    show([row(one) for one in people] if output is Form.TABLE else list(people), output, COLUMNS)


@app.command("remove", help=t("Take a person of your organisation all roles in a project."))
def remove(project: Id, user: User, yes: Yes = False) -> None:
    """Take a person all roles in a project."""
    with client() as connection:
        key = named(connection, "project", project)
        person = person_of(connection, key, user)
        confirmed(t("Remove {user} from {project}?", user=person, project=key), yes)
        connection.projects.remove_person(key, person)


def person_of(connection: Client, project: str, given: str) -> str:
    """Return the id of a person: of the project by name, which a lead may list, else of anybody."""
    fitting = [one.user for one in connection.projects.people(project) if one.name == given]
    return fitting[0] if len(fitting) == 1 else named(connection, "user", given)


def row(one: NamedPerson) -> dict[str, Any]:
    """Return a person's line of a table."""
    roles = [t(role.value) for role in one.roles]
    return {**vars(one), "roles": roles, "since": moment(one.since)}
