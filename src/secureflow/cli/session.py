"""The client that commands use: from the profile, overridden by the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.sdk import Client, Profile


def profile() -> Profile:
    """Return the kept profile with SECUREFLOW_URL, _CA and _TOKEN laid over it."""
    from dataclasses import replace

    from secureflow.sdk.profile import load_profile

    kept = load_profile()
    given = {
        name: value
        for name in ("url", "ca", "token")
        if (value := os.environ.get(f"SECUREFLOW_{name.upper()}"))
    }
    if "url" in given and given["url"] != kept.url and "token" not in given:
        given["token"] = ""  # one server's token is not for another one
    return replace(kept, **given)


def client() -> Client:
    """Return a client with the person's token.

    Raises:
        SecureFlowError: `unauthenticated` without server or token.
    """
    from secureflow.sdk import Client

    known = profile()
    if not known.url or not known.token:
        raise SecureFlowError(
            "unauthenticated",
            t("You are not logged in."),
            "secureflow login URL --ca FILE",
        )
    return Client.from_profile(known)
