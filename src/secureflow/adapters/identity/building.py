"""Builds an identity provider from settings: the one place for the centre and for agents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secureflow.adapters.identity.fetching import Fetcher
from secureflow.adapters.identity.oidc import Client, OidcProvider
from secureflow.application.providersettings import ProviderSettings
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import reason_of
from secureflow.kit.privatefiles import read_private
from secureflow.kit.text import Text

MAX_SECRET: Final = 4096


@dataclass(frozen=True)
class Place:
    """Where people come back from a provider to, and how its configuration is checked.

    Args:
        redirect: the callback's URL; empty where nobody logs in with a browser.
        check: the command that compares both configurations.
        max_age: the oldest login at the provider that counts, in seconds; 0: any.
    """

    redirect: str
    check: str
    max_age: int = 0


def provider_of(settings: ProviderSettings, place: Place, clock: Clock) -> OidcProvider:
    """Return a configured provider; nothing is dialled yet.

    Raises:
        SecureFlowError: `invalid_settings` for a secret that cannot be read, `key_exposed`.
    """
    fetcher = Fetcher(
        settings.name,
        settings.dialled,
        settings.ca,
        loopback_http=settings.loopback_http,
        proxy=settings.proxy,
        check=place.check,
    )
    client = Client(
        settings.client_id,
        _secret(settings.client_secret_file),
        place.redirect,
        settings.scopes,
        settings.userinfo,
        place.max_age,
    )
    return OidcProvider(settings.title or settings.name, settings.issuer, client, fetcher, clock)


def _secret(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        secret = read_private(path)[: MAX_SECRET + 1].decode("ascii").strip()
    except (OSError, UnicodeError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "it is not ASCII text"
        raise _unreadable(path, reason) from error
    if not secret or len(secret) > MAX_SECRET:
        raise _unreadable(path, "it is empty, or too long")
    return secret


def _unreadable(path: Path, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_settings",
        Text("{path} cannot be read: {strerror}.", path=path, strerror=reason),
        "Write the client's secret into it, on one line, with mode 0600.",
    )
