"""`secureflow login` and `logout`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureflow.cli.console import Yes, ask, ask_secret, moment, say
from secureflow.cli.files import read_secret
from secureflow.cli.session import client, place, profile
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.sdk import Client, Profile
    from secureflow.sdk.views import Session

_DECISIONS = {"approve": True, "deny": False}


def login(
    server: Annotated[
        str,
        typer.Argument(
            help=t(
                "URL of the server (default: the last); or `approve` or `deny`, with the CODE of a "
                "program that waits."
            )
        ),
    ] = "",
    decided: Annotated[
        str, typer.Argument(metavar="CODE", help=t("The code that the program shows."))
    ] = "",
    name: Annotated[
        str, typer.Option(help=t("Your user name; it is asked for when not given."))
    ] = "",
    ca: Annotated[Path | None, typer.Option(help=t("PEM file of the only CA to trust."))] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(readable=False, help=t("File with the password; `-` reads stdin.")),
    ] = None,
    code: Annotated[
        str, typer.Option(help=t("Code of your second factor; it is asked for when needed."))
    ] = "",
    device: Annotated[
        bool,
        typer.Option(
            "--device", help=t("Show a code that somebody approves who is logged in elsewhere.")
        ),
    ] = False,
    context: Annotated[
        str, typer.Option(help=t("Keep the token in this context; the chosen one stays chosen."))
    ] = "",
    yes: Yes = False,
) -> None:
    """Log in to a server and keep the token; or decide about a program that asks to be."""
    from secureflow.sdk import Client, Profile

    if server in _DECISIONS or decided:
        _decide(server, decided, yes)
        return
    known = profile(context)
    url = server or known.url
    if not url:
        raise SecureFlowError("invalid_request", t("No server is named."), "secureflow login URL")
    pinned = str(ca.resolve()) if ca else known.ca if url == known.url else ""
    with Client(url, ca=pinned or None) as connection:
        if device:
            from secureflow.cli.devices import by_device

            session = by_device(connection, url)
        else:
            name = name or ask(t("User name"), "secureflow login --name NAME --password-file FILE")
            session = _by_password(connection, name, _password(password_file), code)
    user = session.user.name
    _keep(Profile(url, pinned, session.token, user, session.refresh), session, context)


def logout() -> None:
    """End the session and forget the token."""
    from dataclasses import replace

    from secureflow.sdk import load_profile, save_profile

    with client() as connection:
        connection.logout()
    save_profile(replace(load_profile(place()), token="", refresh=""), place())
    say(t("Logged out."))


def _decide(word: str, code: str, yes: bool) -> None:
    from secureflow.cli.devices import decide

    if word not in _DECISIONS or not code:
        raise SecureFlowError(
            "invalid_request",
            t("It takes `approve` or `deny`, and the code of the program."),
            "secureflow login approve CODE",
        )
    decide(code, _DECISIONS[word], yes)


def _by_password(connection: Client, name: str, password: str, code: str) -> Session:
    try:
        return connection.login(name, password, code, refresh=True)
    except SecureFlowError as error:
        if error.code != "second_factor_required" or code:
            raise
    code = ask(t("Code of your second factor"), t("--code CODE"))
    return connection.login(name, password, code, refresh=True)


def _keep(kept: Profile, session: Session, context: str) -> None:
    from secureflow.sdk import save_profile

    path = save_profile(kept, place(context))
    until = moment(session.refresh_expires or session.expires)
    say(t("Logged in as {name} until {until}.", name=kept.user, until=until))
    say(t("The token is kept in {path}.", path=path))
    if context:
        say(t("Next: secureflow context use {name}", name=context))


def _password(file: Path | None) -> str:
    if file is None:
        return ask_secret(t("Password"), t("--password-file FILE (`-` reads stdin)"))
    return read_secret(file)
