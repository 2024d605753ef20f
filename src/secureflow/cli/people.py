"""`secureflow agent people`, `agent login` and `agent logout`: people who decide at an agent."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from secureflow.cli import atproviders
from secureflow.cli.console import (
    Form,
    Output,
    Yes,
    ask,
    ask_secret,
    confirmed,
    group,
    moment,
    say,
    show,
)
from secureflow.cli.files import read_secret
from secureflow.cli.texts import listed, t
from secureflow.kit.errors import SecureFlowError

app = group("People of this organisation who decide at its agent.")
app.command("providers", help=t("List the identity providers where people may log in."))(
    atproviders.providers
)
app.command("bind", help=t("Let a person of an identity provider in under an account."))(
    atproviders.bind
)
app.command("unbind", help=t("Let nobody of a provider in under an account any more."))(
    atproviders.unbind
)

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
Name = Annotated[str, typer.Argument(help=t("Name of the account."))]
Roles = Annotated[
    list[str], typer.Option("--role", help=t("viewer, decider or owner-admin; several times."))
]
PasswordFile = Annotated[
    Path | None, typer.Option(readable=False, help=t("File with the password; `-` reads stdin."))
]
Until = Annotated[
    str, typer.Option(help=t("Date (YYYY-MM-DD, UTC), a year ahead at most; `now` ends it."))
]
_CONFIG = Path("agent.yaml")
_COLUMNS = ("name", "id", "roles", "state", "second_factor", "decides_for", "identities")


def login(
    name: Annotated[
        str, typer.Option(help=t("Your user name; it is asked for when not given."))
    ] = "",
    password_file: PasswordFile = None,
    code: Annotated[str, typer.Option(help=t("Code of the second factor, or a recovery code."))] = (
        ""
    ),
    provider: Annotated[
        str,
        typer.Option(
            help=t("Log in at this identity provider of your organisation, in any browser.")
        ),
    ] = "",
    config: Config = _CONFIG,
) -> None:
    """Log in to an agent; a code of the second factor is asked for where there is one."""
    if provider:
        _greet(atproviders.by_provider(config, provider))
        return
    from secureflow.agent import peopleapi

    name = name or ask(t("User name"), "secureflow agent login --name NAME --password-file FILE")
    password = _password(password_file)
    try:
        opened = peopleapi.login(config, name, password, code)
    except SecureFlowError as error:
        if error.code != "second_factor_required" or code:
            raise
        code = ask_secret(t("Code of the second factor"), "--code CODE")
        opened = peopleapi.login(config, name, password, code)
    _greet(opened)


def _greet(opened: dict[str, Any]) -> None:
    """Say who is logged in, and what to do first."""
    say(
        t(
            "Logged in at the agent as {name} ({roles}) until {until}, or until no command comes "
            "for a while.",
            name=opened["name"],
            roles=listed(opened["roles"]),
            until=moment(opened["expires"]),
        )
    )
    own = opened.get("method", "password") == "password"
    if opened["initial_password"]:
        say(t("Choose your own password before you decide: secureflow agent people password"))
    elif own and not opened["second_factor"]:
        say(t("This account has no second factor: secureflow agent people totp"))
    elif own and opened["recovery_codes"] < 3:
        say(t("Few recovery codes are left ({count}).", count=opened["recovery_codes"]))


def logout(config: Config = _CONFIG) -> None:
    """End the session at an agent."""
    from secureflow.agent import peopleapi

    peopleapi.logout(config)
    say(t("Logged out."))


@app.command("list", help=t("List the accounts."))
def list_people(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """List accounts."""
    from secureflow.agent import peopleapi

    found = peopleapi.every(config)
    if output is not Form.TABLE:
        show(found, output)
        return
    show([_row(one) for one in found], output, _COLUMNS)
    if not found:
        say(t("Nobody has an account here: whoever has the agent's uid decides."))


@app.command("me", help=t("Show your own account."))
def show_me(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show the account of the session."""
    from secureflow.agent import peopleapi

    found = peopleapi.me(config)
    show(found if output is not Form.TABLE else _row(found), output)


@app.command("add", help=t("Make an account; the first one is an owner-admin."))
def add(
    name: Name,
    role: Roles,
    password_file: PasswordFile = None,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Make an account; only the first one keeps the password that is given here."""
    from secureflow.agent import peopleapi

    made = peopleapi.add(config, name, _password(password_file, twice=True), role)
    show({**made, "roles": listed(made["roles"])} if output is Form.TABLE else made, output)
    if made["first"]:
        say(t("From now on decisions at this agent need a person: secureflow agent login"))
    else:
        say(t("Give {name} the password; it must be changed before the first decision.", name=name))


@app.command("roles", help=t("Give an account exactly these roles."))
def roles(name: Name, role: Roles, config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Replace an account's roles."""
    from secureflow.agent import peopleapi

    changed = peopleapi.set_roles(config, name, role)
    show(
        {**changed, "roles": listed(changed["roles"])} if output is Form.TABLE else changed, output
    )


@app.command("disable", help=t("Disable an account: its sessions and delegations end at once."))
def disable(name: Name, yes: Yes = False, config: Config = _CONFIG) -> None:
    """Disable an account."""
    from secureflow.agent import peopleapi

    confirmed(t("Disable the account {what}?", what=name), yes)
    peopleapi.disable(config, name)
    say(t("The account {what} is disabled.", what=name))


@app.command("enable", help=t("Enable a disabled account again."))
def enable(name: Name, config: Config = _CONFIG) -> None:
    """Enable an account."""
    from secureflow.agent import peopleapi

    peopleapi.disable(config, name, disabled=False)
    say(t("The account {what} is enabled.", what=name))


@app.command("reset", help=t("Give an account another password, which its person must change."))
def reset(
    name: Name,
    second_factor: Annotated[
        bool, typer.Option("--second-factor", help=t("Remove the second factor, too."))
    ] = False,
    password_file: PasswordFile = None,
    config: Config = _CONFIG,
) -> None:
    """Reset an account; its sessions end."""
    from secureflow.agent import peopleapi

    password = _password(password_file, twice=True)
    peopleapi.reset(config, name, password, second_factor=second_factor)
    say(t("Give {name} the password; it must be changed before the first decision.", name=name))


@app.command("recover", help=t("Let an owner-admin in again, at a stopped agent."))
def recover(
    name: Name, password_file: PasswordFile = None, yes: Yes = False, config: Config = _CONFIG
) -> None:
    """Reset an owner-admin by the agent's uid, where nobody can log in; it is recorded."""
    from secureflow.agent.edge.peoplerecovery import recover

    confirmed(t("Reset {what}, and record that whoever has this uid did so?", what=name), yes)
    recover(config, name, _password(password_file, twice=True))
    say(t("Give {name} the password; it must be changed before the first decision.", name=name))


@app.command("password", help=t("Choose another password for your own account."))
def password(
    old_file: PasswordFile = None, new_file: PasswordFile = None, config: Config = _CONFIG
) -> None:
    """Change the own password; every session of the account ends."""
    from secureflow.agent import peopleapi

    old = _password(old_file)
    new = (
        read_secret(new_file)
        if new_file
        else ask_secret(t("New password"), t("--new-file FILE"), twice=True)
    )
    peopleapi.change_password(config, old, new)
    say(t("The password is changed. Log in again: secureflow agent login"))


@app.command("totp", help=t("Set up a second factor for your own account (RFC 6238)."))
def totp(
    code: Annotated[
        str, typer.Option(help=t("A code of the app: confirm what was set up before."))
    ] = "",
    password_file: PasswordFile = None,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Show a secret for an authenticator app, or confirm it by a code."""
    from secureflow.agent import peopleapi

    if not code:
        show(peopleapi.enrol_totp(config, _password(password_file)), output)
        say(t("Enter the secret in your app, then: secureflow agent people totp --code CODE"))
        return
    codes = peopleapi.confirm_totp(config, code)
    show(
        codes if output is not Form.TABLE else [{"code": one} for one in codes["recovery_codes"]],
        output,
    )
    say(t("Keep these recovery codes in a safe place: each is for one login, if the app is lost."))


@app.command("away", help=t("Say until when you are away."))
def away(until: Until, config: Config = _CONFIG) -> None:
    """Record an absence."""
    from secureflow.agent import peopleapi

    peopleapi.set_absent(config, _second(until))
    say(t("Recorded."))


@app.command("delegate", help=t("Let somebody decide in your place until a date."))
def delegate(name: Name, until: Until, config: Config = _CONFIG) -> None:
    """Delegate decisions; it makes no second person of one."""
    from secureflow.agent import peopleapi

    peopleapi.delegate(config, name, _second(until))
    say(t("Recorded."))


def _row(one: dict[str, Any]) -> dict[str, Any]:
    """Return an account for people."""
    state = t("disabled") if one["disabled"] else t("in use")
    if one["initial_password"] and not one["disabled"]:
        state = t("password not yet chosen")
    if one["absent_until"]:
        state += t(", ") + t("away until {when}", when=moment(one["absent_until"]))
    given = [
        t("{name} until {when}", name=d["name"], when=moment(d["until"]))
        for d in one["decides_for"]
    ]
    return {
        "name": one["name"],
        "id": one["id"],
        "roles": listed(one["roles"]),
        "state": state,
        "second_factor": t("yes") if one["second_factor"] else t("no"),
        "decides_for": listed(given) or "-",
        "identities": listed(
            [
                t("{subject} of {provider}", subject=i["subject"], provider=i["provider"])
                for i in one.get("identities", ())
            ]
        )
        or "-",
    }


def _second(until: str) -> int:
    """Return a date as unix seconds; 0 for `now`."""
    if until == "now":
        return 0
    try:
        found = datetime.fromisoformat(until)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return max(0, int(found.timestamp()))
    except (ValueError, OverflowError) as error:
        raise SecureFlowError(
            "invalid_request",
            t("{until!r} is no date.", until=until),
            "secureflow agent people away --until YYYY-MM-DD",
        ) from error


def _password(file: Path | None, *, twice: bool = False) -> str:
    if file is None:
        hint = t("--password-file FILE (`-` reads stdin)")
        return ask_secret(t("Password"), hint, twice=twice)
    return read_secret(file)
