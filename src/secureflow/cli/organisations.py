"""`secureflow org`, `enrolment` and `party`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import Annotated, Final

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, say, show
from secureflow.cli.proving import proven
from secureflow.cli.session import client
from secureflow.cli.texts import t
from secureflow.kit.disk import preallocate
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import failed_at

app = group("Organisations.")
enrolments = group("One-time tokens that let an agent or an enclave in.")
parties = group("Enrolled processes and their links.")

_ROOM: Final = 4096
Slug = Annotated[str, typer.Argument(help=t("Slug of the organisation."))]


@app.command("list", help=t("List the organisations."))
def list_organisations(output: Output = Form.TABLE) -> None:
    """List organisations."""
    with client() as connection:
        show(list(connection.organisations.list()), output, ("id", "name", "disabled", "created"))


@app.command("show", help=t("Show one organisation."))
def show_organisation(slug: Slug, output: Output = Form.TABLE) -> None:
    """Show an organisation."""
    with client() as connection:
        show(connection.organisations.get(slug), output)


@app.command("create", help=t("Register an organisation."))
def create(
    slug: Slug,
    name: Annotated[str, typer.Option(help=t("Its display name."))] = "",
    output: Output = Form.TABLE,
) -> None:
    """Register an organisation."""
    with client() as connection:
        show(connection.organisations.create(slug, name), output)


@app.command("disable", help=t("Disable an organisation: its people and its agent."))
def disable(slug: Slug, yes: Yes = False) -> None:
    """Disable an organisation."""
    confirmed(t("Disable {what}?", what=slug), yes)
    with client() as connection:
        connection.organisations.disable(slug)
    say(t("{what} is disabled.", what=slug))


@app.command("enable", help=t("Enable a disabled organisation again."))
def enable(slug: Slug, yes: Yes = False) -> None:
    """Enable an organisation."""
    confirmed(t("Enable {what}?", what=slug), yes)
    with client() as connection:
        connection.organisations.enable(slug)
    say(t("{what} is enabled.", what=slug))


@enrolments.command("list", help=t("List enrolment tokens, without their secrets."))
def list_enrolments(output: Output = Form.TABLE) -> None:
    """List enrolment tokens."""
    columns = ("id", "kind", "organisation", "created", "expires", "used")
    with client() as connection:
        show(list(connection.enrolments.list()), output, columns)


@enrolments.command("create", help=t("Create a one-time enrolment token."))
def create_enrolment(
    organisation: Annotated[str, typer.Argument(help=t("Slug of the organisation."))] = "",
    kind: Annotated[str, typer.Option(help="agent | enclave")] = "agent",
    save: Annotated[
        Path | None, typer.Option(help=t("Write the token to this new 0600 file instead."))
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Make an enrolment token."""
    with client() as connection, _place(save) as file:
        issued = proven(connection, lambda: connection.enrolments.create(organisation, kind))
        if file is not None:
            file.write(f"{issued.token}\n".encode())
    if save is None:
        show(issued, output, ("id", "kind", "organisation", "expires", "token"))
        return
    say(t("The token is in {path}.", path=save))


@parties.command("list", help=t("List enrolled processes."))
def list_parties(output: Output = Form.TABLE) -> None:
    """List enrolled processes."""
    columns = ("party", "kind", "organisation", "id", "created", "revoked")
    with client() as connection:
        show(list(connection.agents.list()), output, columns)


@parties.command("links", help=t("Show which processes (agents, enclaves) are connected."))
def links(output: Output = Form.TABLE) -> None:
    """Show link states."""
    known = ("party", "connected", "version", "log_size", "clock_ahead", "address", "server")
    columns = (*known, "replaced")
    with client() as connection:
        show(list(connection.agents.links()), output, columns)


@parties.command("link", help=t("Show the link of a process step by step."))
def link(
    agent: Annotated[str, typer.Argument(help=t("SPIFFE id of the process."))],
    output: Output = Form.TABLE,
) -> None:
    """Show a link as the centre sees it: each step, its cause, who can mend it, the command."""
    with client() as connection:
        found = connection.agents.link(agent)
    if output is Form.TABLE:
        show(found.steps, output, ("name", "state", "cause", "who", "command"))
    else:
        show(found, output)


@parties.command("revoke", help=t("Refuse a process's certificate from now on."))
def revoke(
    agent: Annotated[str, typer.Argument(help=t("SPIFFE id of the process."))],
    yes: Yes = False,
) -> None:
    """Revoke an enrolled process."""
    confirmed(t("Revoke {what}?", what=agent), yes)
    with client() as connection:
        connection.agents.revoke(agent)
    say(t("{what} is revoked.", what=agent))


@contextmanager
def _place(path: Path | None) -> Iterator[FileIO | None]:
    """Create a 0600 file with room for a secret, before a secret is made that could not be kept.

    A failure inside the block leaves no file.

    Raises:
        SecureFlowError: `invalid_request` naming the path: it exists, or the disk is full.
    """
    if path is None:
        yield None
        return
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    with os.fdopen(handle, "wb", 0) as file, ExitStack() as stack:
        stack.callback(path.unlink)
        try:
            preallocate(handle, _ROOM)
            yield file
            file.truncate()
            os.fsync(handle)
        except OSError as error:
            raise _unusable(path, error) from error
        stack.pop_all()


def _unusable(path: Path, error: OSError) -> SecureFlowError:
    return SecureFlowError("invalid_request", failed_at(path, error))
