"""`secureflow project activity`, `received` and `template`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, group, moment, say, show
from secureflow.cli.deeds import facts_of
from secureflow.cli.entrykinds import deed
from secureflow.cli.names import named
from secureflow.cli.projectpeople import person_of
from secureflow.cli.session import client
from secureflow.cli.texts import said, t

if TYPE_CHECKING:
    from secureflow.domain.projectrecord import Activity
    from secureflow.domain.projecttemplates import ProjectRules

templates = group("Templates of projects: purposes with the rules that jobs keep.")
COLUMNS: Final = ("at", "deed", "organisation", "name", "job", "facts", "index")
_RECEIVED: Final = (
    *("party", "job", "name", "kind", "state", "rounds", "models", "handed_over", "results"),
)
Id = Annotated[str, typer.Argument(help=t("Id or name of the project."))]


def activity(
    project: Id,
    kind: Annotated[
        str,
        typer.Option(help=t("Only kinds (-o json) that begin so, such as `job` or `member.left`.")),
    ] = "",
    organisation: Annotated[str, typer.Option("--org", help=t("Slug of the organisation."))] = "",
    user: Annotated[str, typer.Option(help=t("Id or name of the user."))] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help=t("How many at most."))] = 50,
    output: Output = Form.TABLE,
) -> None:
    """Show who did what in a project by the ledger, newest first."""
    found: list[Activity] = []
    with client() as connection:
        key = named(connection, "project", project)
        person = person_of(connection, key, user) if user else ""
        before = 0
        while len(found) < limit:
            page = connection.projects.activity(
                key,
                kind=kind,
                organisation=organisation,
                user=person,
                before=before,
                limit=min(limit - len(found), 100),
            )
            found += page.items
            if not (before := page.next):
                break
    if output is Form.TABLE:
        show([row(one) for one in found], output, COLUMNS)
    else:
        show(found, output)


def received(
    project: Id,
    party: Annotated[str, typer.Option(help=t("Only this party."))] = "",
    output: Output = Form.TABLE,
) -> None:
    """Show what each party received in a project's jobs, and what the centre cannot know."""
    found: list[Any] = []
    with client() as connection:
        key = named(connection, "project", project)
        page = connection.projects.received(key, party)
        found += page.items
        while page.next:
            page = connection.projects.received(key, party, page.next)
            found += page.items
    show(found, output, _RECEIVED)
    say(t("The centre cannot know:"))
    for one in page.unknown:
        say(f"  - {said(one)}")


@templates.command("list", help=t("List the templates."))
def list_templates(output: Output = Form.TABLE) -> None:
    """List templates."""
    with client() as connection:
        found = connection.projects.templates()
    if output is Form.TABLE:
        rows = [{"name": one.name, "title": said(one.title), "purpose": one.purpose}
                for one in found]  # fmt: skip
        show(rows, output, ("name", "title", "purpose"))
    else:
        show(list(found), output)


@templates.command("show", help=t("Show a template and its rules."))
def show_template(
    name: Annotated[str, typer.Argument(help=t("Name of the template."))],
    output: Output = Form.TABLE,
) -> None:
    """Show a template."""
    with client() as connection:
        found = connection.projects.template(name)
    if output is Form.TABLE:
        told = {"name": found.name, "title": said(found.title), "purpose": found.purpose}
        told["description"] = said(found.description)
        show({**told, **rules(found.rules)}, output)
    else:
        show(found, output)


def row(one: Activity) -> dict[str, Any]:
    """Return a deed's line of a table."""
    told = {"at": moment(one.at), "deed": deed(one.kind), "name": one.name or one.by}
    return {**vars(one), **told, "facts": facts_of(one.kind, one.facts)}


def rules(kept: ProjectRules) -> dict[str, Any]:
    """Return the lines of a project's rules."""
    told: dict[str, Any] = {"min_parties": kept.min_parties}
    told |= {"kinds": [t(one) for one in kept.kinds]} if kept.kinds else {}
    told |= {"protections": [t(one) for one in kept.protections]} if kept.protections else {}
    told |= {"epsilon": kept.epsilon} if kept.epsilon is not None else {}
    return told
