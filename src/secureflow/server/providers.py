"""Builds the configured identity providers, and checks them for `server check --providers`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from secureflow.application.identities import LoginProvider
from secureflow.kit.clock import Clock, system_clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.findings import finding, report
from secureflow.kit.oserrors import reason_of
from secureflow.kit.privatefiles import read_private
from secureflow.kit.text import Text
from secureflow.server.identitysettings import IdentitySettings, OidcSettings
from secureflow.server.settings import ServerSettings

PART: Final = "provider"
MAX_SECRET: Final = 4096


def login_providers(settings: IdentitySettings, clock: Clock) -> dict[str, LoginProvider]:
    """Return the configured providers by name.

    Raises:
        SecureFlowError: `invalid_settings` for a file that cannot be read, `key_exposed`.
    """
    return {one.name: _provider(one, clock) for one in settings.oidc}


def _provider(settings: OidcSettings, clock: Clock) -> LoginProvider:
    # The adapter and authlib take 11 MB: loaded only where a provider is configured.
    from secureflow.adapters.identity import Client, Fetcher, OidcProvider

    hosts = {str(urlsplit(settings.issuer).hostname), *map(str.lower, settings.hosts)}
    fetcher = Fetcher(
        settings.name, frozenset(hosts), settings.ca, loopback_http=settings.loopback_http
    )
    client = Client(
        settings.client_id,
        _secret(settings.client_secret_file),
        settings.callback,
        settings.scopes,
        settings.userinfo,
    )
    title = settings.title or settings.name
    port = OidcProvider(title, settings.issuer, client, fetcher, clock)
    return LoginProvider(port, settings.mapping, settings.provision)


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


def check_providers(config: Path) -> Iterator[dict[str, Any]]:
    """Yield `{check, ok, code, message, hint}` for each provider: whether it answers as configured.

    Raises:
        SecureFlowError: `invalid_settings`.
    """
    settings = ServerSettings.load(config)
    for name, one in login_providers(settings.identity, system_clock).items():
        try:
            asyncio.run(one.port.check())
        except SecureFlowError as error:
            yield finding(PART, error).as_json()
            continue
        sound: str = Text("{name} answers as {issuer}", name=name, issuer=one.port.issuer)
        yield from report(PART, (), sound)
