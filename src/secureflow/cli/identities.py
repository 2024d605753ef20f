"""`secureflow identity`: with which identities at providers people log in to accounts."""

from __future__ import annotations

from typing import Annotated

import typer

from secureflow.cli.console import Form, Output, Yes, group, say, show
from secureflow.cli.names import decided, named
from secureflow.cli.proving import proven
from secureflow.cli.session import client
from secureflow.cli.texts import t
from secureflow.cli.users import User

app = group("Identities at providers with which people log in.")

_COLUMNS = ("id", "provider", "subject", "created")


@app.command("list", help=t("List the identities of a user."))
def list_identities(user: User, output: Output = Form.TABLE) -> None:
    """List identities."""
    with client() as connection:
        key = named(connection, "user", user)
        show(list(connection.identities.list(key)), output, _COLUMNS)


@app.command("bind", help=t("Let a person at a provider log in as a user."))
def bind(
    user: User,
    provider: Annotated[str, typer.Argument(help=t("Name of the provider."))],
    subject: Annotated[str, typer.Argument(help=t("The person's `sub` there."))],
    yes: Yes = False,
    output: Output = Form.TABLE,
) -> None:
    """Bind an identity."""
    with client() as connection:
        question = t("Let the person with this `sub` log in as {user}?")
        (key,) = decided(connection, question, yes, user=user)
        bound = proven(connection, lambda: connection.identities.bind(key, provider, subject))
        show(bound, output, _COLUMNS)


@app.command("unbind", help=t("Remove an identity; it ends the user's tokens and sessions."))
def unbind(
    user: User,
    identity: Annotated[str, typer.Argument(help=t("Id of the identity."))],
    yes: Yes = False,
) -> None:
    """Remove an identity."""
    with client() as connection:
        question = t("Remove an identity of {user}? Tokens and sessions end.")
        (key,) = decided(connection, question, yes, user=user)
        proven(connection, lambda: connection.identities.unbind(key, identity))
    say(t("{what} is removed.", what=identity))
