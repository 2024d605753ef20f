"""`secureflow totp`: the second factor of one's own account."""

from __future__ import annotations

from typing import Annotated

import typer

from secureflow.cli.console import Form, Output, Yes, ask, group, say, show
from secureflow.cli.names import decided
from secureflow.cli.proving import asks_password, password_again, proven
from secureflow.cli.session import client
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

app = group("Your second factor: codes of an authenticator app (RFC 6238).")

Code = Annotated[
    str, typer.Argument(help=t("Six digits, or a recovery code; asked for if absent."))
]


@app.command("show", help=t("Show whether you have a second factor."))
def show_state(output: Output = Form.TABLE) -> None:
    """Show the state of the caller's second factor."""
    with client() as connection:
        found = connection.second_factor.get()
    if output is not Form.TABLE:
        show(found, output)
        return
    told = {"second_factor": found.enrolled, "since": found.since}
    show({**told, "recovery_codes": found.recovery_left, "demanded": found.required}, output)


@app.command("enrol", help=t("Get a secret for your authenticator app; it is shown only once."))
def enrol(output: Output = Form.TABLE) -> None:
    """Enrol a second factor, which counts once it is confirmed."""
    with client() as connection:
        enrolling = proven(connection, connection.second_factor.enrol)
        show(enrolling, output, ("secret", "uri"))
    say(t("Next, with the code that the app shows: secureflow totp confirm CODE"))


@app.command("confirm", help=t("Make it count; recovery codes are shown only once."))
def confirm(code: Code = "", output: Output = Form.TABLE) -> None:
    """Confirm the second factor by a code."""
    with client() as connection:
        code = code or ask(t("Code of your second factor"), "secureflow totp confirm CODE")
        kept = proven(connection, lambda: connection.second_factor.confirm(code))
    column = "code" if output is not Form.TABLE else "recovery_codes"
    show([{column: one} for one in kept.recovery], output)
    say(t("Keep these codes apart from the app: each gets you in once without it."))


@app.command("remove", help=t("Remove your second factor, by one of its codes."))
def remove(code: Code = "") -> None:
    """Remove the caller's second factor."""
    with client() as connection:
        code = code or ask(t("Code of your second factor"), "secureflow totp remove CODE")
        try:
            connection.second_factor.remove(code)
        except SecureFlowError as error:
            if not asks_password(error):
                raise
            connection.second_factor.remove(code, password_again())
    say(t("Your second factor is removed."))


@app.command("reset", help=t("Remove the second factor of a user who has lost it."))
def reset(
    user: Annotated[str, typer.Argument(help=t("Id or name of the user."))], yes: Yes = False
) -> None:
    """Remove a person's second factor, as their administrator."""
    with client() as connection:
        (key,) = decided(connection, t("Remove the second factor of {user}?"), yes, user=user)
        proven(connection, lambda: connection.second_factor.reset(key))
    say(t("{what} has no second factor any more.", what=key))
