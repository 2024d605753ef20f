"""What takes a recent proof of identity: the password is asked for once, and it is done again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from secureflow.cli.console import ask, ask_secret, say
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.sdk import Client

T = TypeVar("T")


def proven(connection: Client, act: Callable[[], T]) -> T:
    """Do what may take a proof; ask for the password if it does.

    Raises:
        SecureFlowError: `proof_required` for an account without a password; `no_terminal`; what the
            deed itself is refused for.
    """
    try:
        return act()
    except SecureFlowError as error:
        if not asks_password(error):
            raise
    password = password_again()
    try:
        connection.prove(password)
    except SecureFlowError as error:
        if error.code != "second_factor_required":
            raise
        code = ask(t("Code of your second factor"), t("--code CODE"))
        connection.prove(password, code)
    return act()


def asks_password(error: SecureFlowError) -> bool:
    """Tell whether the password, given again, is what is missing."""
    return error.code == "proof_required" and error.details.get("password") is True


def password_again() -> str:
    """Ask for the password of who is logged in.

    Raises:
        SecureFlowError: `no_terminal`.
    """
    say(t("This takes a proof that it is you: your login is older than five minutes."))
    return ask_secret(t("Password"), t("log in again just before: secureflow login"))
