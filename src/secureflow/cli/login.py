"""`secureflow login` and `logout`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from secureflow.cli.console import ask, ask_secret, moment, say
from secureflow.cli.files import read_secret
from secureflow.cli.session import client, place, profile
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError


def login(
    server: Annotated[str, typer.Argument(help=t("URL of the server (default: the last)."))] = "",
    name: Annotated[
        str, typer.Option(help=t("Your user name; it is asked for when not given."))
    ] = "",
    ca: Annotated[Path | None, typer.Option(help=t("PEM file of the only CA to trust."))] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(readable=False, help=t("File with the password; `-` reads stdin.")),
    ] = None,
    context: Annotated[
        str, typer.Option(help=t("Keep the token in this context; the chosen one stays chosen."))
    ] = "",
) -> None:
    """Log in to a server and keep the token."""
    from secureflow.sdk import Client, Profile, save_profile

    known = profile(context)
    url = server or known.url
    if not url:
        raise SecureFlowError("invalid_request", t("No server is named."), "secureflow login URL")
    pinned = str(ca.resolve()) if ca else known.ca if url == known.url else ""
    name = name or ask(t("User name"), "secureflow login --name NAME --password-file FILE")
    with Client(url, ca=pinned or None) as connection:
        session = connection.login(name, _password(password_file))
    kept = save_profile(Profile(url, pinned, session.token, name), place(context))
    say(t("Logged in as {name} until {until}.", name=name, until=moment(session.expires)))
    say(t("The token is kept in {path}.", path=kept))
    if context:
        say(t("Next: secureflow context use {name}", name=context))


def logout() -> None:
    """End the session and forget the token."""
    from dataclasses import replace

    from secureflow.sdk import load_profile, save_profile

    with client() as connection:
        connection.logout()
    save_profile(replace(load_profile(place()), token=""), place())
    say(t("Logged out."))


def _password(file: Path | None) -> str:
    if file is None:
        return ask_secret(t("Password"), t("--password-file FILE (`-` reads stdin)"))
    return read_secret(file)
