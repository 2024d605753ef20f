"""`secureflow user`, `secureflow token` and `secureflow session`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from secureflow.cli.console import Form, Output, Yes, ask_secret, confirmed, group, say, show
from secureflow.cli.files import read_secret
from secureflow.cli.names import decided, named
from secureflow.cli.proving import proven
from secureflow.cli.session import client
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

app = group("People and their roles.")
tokens = group("Your own bearer tokens, for programs.")
sessions = group("Your own sessions in browsers.")

_COLUMNS = ("id", "name", "organisation", "roles", "disabled", "created")
_SESSION_COLUMNS = ("id", "method", "address", "created", "used", "expires")
_TOKEN_COLUMNS = ("id", "label", "scopes", "created", "expires", "used")

User = Annotated[str, typer.Argument(help=t("Id or name of the user."))]


OfUser = Annotated[
    str, typer.Option("--user", help=t("Whose, if not yours: one of your people (id or name)."))
]


@app.command("list", help=t("List the people that you may see."))
def list_users(output: Output = Form.TABLE) -> None:
    """List users."""
    with client() as connection:
        show(list(connection.users.list()), output, _COLUMNS)


@app.command("me", help=t("Show who you are."))
def me(output: Output = Form.TABLE) -> None:
    """Show the caller."""
    with client() as connection:
        show(connection.me(), output)


@app.command("show", help=t("Show one user."))
def show_user(user: User, output: Output = Form.TABLE) -> None:
    """Show a user."""
    with client() as connection:
        show(connection.users.get(named(connection, "user", user)), output)


@app.command("create", help=t("Create a user."))
def create(
    name: Annotated[str, typer.Argument(help=t("Name to log in with."))],
    organisation: Annotated[str, typer.Option("--org", help=t("Slug of the organisation."))] = "",
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="platform-admin | organisation-admin | data-owner | data-scientist | auditor"
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help=t(
                "File with the first password; `-` reads stdin. It is asked for when not given."
            ),
        ),
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Create a user. The password is never an argument: every process could read it there."""
    if password_file is None:
        password = ask_secret(
            t("Password"), t("--password-file FILE (`-` reads stdin)"), twice=True
        )
    else:
        password = read_secret(password_file)
    with client() as connection:
        roles = role or ["data-scientist"]
        show(connection.users.create(name, password, organisation, roles), output)


@app.command("roles", help=t("Change what a user may do: their roles, all of them."))
def change_roles(
    user: User,
    role: Annotated[
        list[str],
        typer.Option(
            help="platform-admin | organisation-admin | data-owner | data-scientist | auditor"
        ),
    ],
    yes: Yes = False,
    output: Output = Form.TABLE,
) -> None:
    """Give a user other roles; it counts at once, for their open sessions and tokens too."""
    with client() as connection:
        named_roles = ", ".join(role).replace("{", "").replace("}", "")
        question = t(
            "Give {user} these roles and no other: {roles}?", user="{user}", roles=named_roles
        )
        (key,) = decided(connection, question, yes, user=user)
        changed = proven(connection, lambda: connection.users.change(key, roles=role))
        show(changed, output, _COLUMNS)


@app.command("disable", help=t("Disable a user."))
def disable(user: User, yes: Yes = False) -> None:
    """Disable a user."""
    with client() as connection:
        (key,) = decided(connection, t("Disable {user}?"), yes, user=user)
        connection.users.change(key, disabled=True)
    say(t("{what} is disabled.", what=key))


@app.command("enable", help=t("Enable a disabled user again."))
def enable(user: User, yes: Yes = False) -> None:
    """Enable a user."""
    with client() as connection:
        (key,) = decided(connection, t("Enable {user}?"), yes, user=user)
        connection.users.change(key, disabled=False)
    say(t("{what} is enabled.", what=key))


@app.command("erase", help=t("Erase who a user is, for good; the id stays in the ledger."))
def erase(user: User, yes: Yes = False) -> None:
    """Erase a user."""
    with client() as connection:
        key = named(connection, "user", user)
        question = t(
            "Erase {user}? Name, password and addresses are removed for good; all access ends.",
            user=key,
        )
        confirmed(question, yes)
        connection.users.erase(key)
    say(t("{what} is erased.", what=key))


@app.command("password", help=t("Change your own password."))
def password(
    old_file: Annotated[
        Path | None,
        typer.Option(
            readable=False, help=t("File with the old password. Default: it is asked for.")
        ),
    ] = None,
    new_file: Annotated[
        Path | None,
        typer.Option(
            readable=False, help=t("File with the new password. Default: it is asked for.")
        ),
    ] = None,
) -> None:
    """Change the caller's password."""
    files = "--old-file FILE --new-file FILE"
    old = read_secret(old_file) if old_file else ask_secret(t("Old password"), files)
    new = read_secret(new_file) if new_file else ask_secret(t("New password"), files, twice=True)
    with client() as connection:
        connection.change_password(old, new)
    say(t("The password is changed."))


@tokens.command("list", help=t("List your tokens."))
def list_tokens(user: OfUser = "", output: Output = Form.TABLE) -> None:
    """List the caller's tokens, or those of one of their people."""
    with client() as connection:
        found = connection.tokens.list()
        if user:
            found = connection.tokens.list_of(named(connection, "user", user))
        show(list(found), output, _TOKEN_COLUMNS)


@tokens.command("create", help=t("Create a token; it is shown only once."))
def create_token(
    label: Annotated[str, typer.Argument(help=t("What it is for."))] = "",
    days: Annotated[int, typer.Option(min=1, max=90, help=t("How long it lasts."))] = 30,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help=t(
                "What it is good for, may be repeated: read, jobs, data, people or admin. Default: "
                "all that you may do."
            )
        ),
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Make a token."""
    with client() as connection:
        made = proven(connection, lambda: connection.tokens.create(label, days, scope or ()))
        show(made, output, ("id", "token", "scopes", "expires"))


@tokens.command("revoke", help=t("Revoke a token."))
def revoke_token(
    token: Annotated[str, typer.Argument(help=t("Id of the token."))], user: OfUser = ""
) -> None:
    """End a token of the caller's, or of one of their people."""
    with client() as connection:
        if user:
            connection.tokens.revoke_of(named(connection, "user", user), token)
        else:
            connection.tokens.revoke(token)
    say(t("{what} is revoked.", what=token))


@sessions.command("list", help=t("List your sessions in browsers."))
def list_sessions(output: Output = Form.TABLE) -> None:
    """List the caller's browser sessions."""
    with client() as connection:
        found = list(connection.sessions.list())
        show(found, output, _SESSION_COLUMNS)
    if not found:
        say(t("You have no session in a browser. Your tokens: secureflow token list"))


@sessions.command("revoke", help=t("End a session in a browser, or all of them."))
def revoke_session(
    session: Annotated[str, typer.Argument(help=t("Id of the session."))] = "",
    every: Annotated[bool, typer.Option("--all", help=t("End every one."))] = False,
) -> None:
    """End one browser session, or all."""
    if bool(session) == every:
        raise SecureFlowError(
            "invalid_request",
            t("Name one session, or give --all."),
            t("See which there are: secureflow session list"),
        )
    with client() as connection:
        if every:
            connection.sessions.revoke_all()
        else:
            connection.sessions.revoke(session)
    say(t("{what} is revoked.", what=session or t("Every session")))
