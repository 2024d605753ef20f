"""The client that commands use: from the context's profile, overridden by the environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from secureflow.cli.texts import listed, t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:
    from secureflow.sdk import Client, Profile


NAMED: ContextVar[str] = ContextVar("NAMED", default="")
"""The context of `secureflow --context`, for the running command."""


def context(named: str = "") -> str:
    """Return the context of a command: its own option, else `secureflow --context`."""
    return named or NAMED.get()


def place(named: str = "") -> Path:
    """Return the profile file of the command's context."""
    from secureflow.sdk.profile import profile_path

    return profile_path(context(named))


def profile(named: str = "") -> Profile:
    """Return the saved profile, overridden by SECUREFLOW_URL, _CA and _TOKEN."""
    from dataclasses import replace

    from secureflow.sdk.profile import load_profile

    kept = load_profile(place(named))
    given = {
        name: value
        for name in ("url", "ca", "token")
        if (value := os.environ.get(f"SECUREFLOW_{name.upper()}"))
    }
    if "url" in given and given["url"] != kept.url and "token" not in given:
        given["token"] = ""  # one server's token must not be sent to another
    if "token" in given:
        given["refresh"] = ""  # it continues another login
    return replace(kept, **given)


def client() -> Client:
    """Return a client with the person's token.

    Raises:
        SecureFlowError: `unauthenticated` without server or token.
    """
    from secureflow.sdk import Client

    known = profile()
    if not known.url or not known.token:
        raise _nobody(context() or os.environ.get("SECUREFLOW_CONTEXT", ""))
    connection = Client.from_profile(known, place())
    connection.on_damaged(_print_damaged)
    return connection


def _print_damaged(keys: Sequence[str]) -> None:
    """Report items that a list leaves out on stderr; stdout stays for programs."""
    from secureflow.cli.console import say

    names = listed(keys)
    say(t("Damaged in the server's record: {names}. Tell the operator.", names=names))


def _nobody(named: str) -> SecureFlowError:
    """Return the error for a missing login, with the next step."""
    from secureflow.sdk.profile import contexts

    kept = [] if os.environ.get("SECUREFLOW_PROFILE") else contexts()
    if named and kept and named not in kept:
        return SecureFlowError(
            "not_found", t("There is no context {what}.", what=named), "secureflow context list"
        )
    step = "secureflow login URL --ca FILE"
    if named and kept:
        step = Text("secureflow login --context {named}", named=named)
    elif kept:
        step = "secureflow context use NAME"
    return SecureFlowError("unauthenticated", t("You are not logged in."), step)
