"""Builds the configured identity providers, and checks them for `server check --providers`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from secureflow.application.identities import LoginProvider
from secureflow.kit.clock import Clock, system_clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.findings import finding, report
from secureflow.kit.text import Text
from secureflow.server.identitysettings import IdentitySettings, OidcSettings
from secureflow.server.settings import ServerSettings

PART: Final = "provider"


def login_providers(settings: IdentitySettings, clock: Clock) -> dict[str, LoginProvider]:
    """Return the configured providers by name.

    Raises:
        SecureFlowError: `invalid_settings` for a file that cannot be read, `key_exposed`.
    """
    return {one.name: _provider(one, clock) for one in settings.oidc}


def _provider(settings: OidcSettings, clock: Clock) -> LoginProvider:
    # The adapter and authlib take 11 MB: loaded only where a provider is configured.
    from secureflow.adapters.identity.building import Place, provider_of

    place = Place(settings.callback, "secureflow server check --providers")
    return LoginProvider(provider_of(settings, place, clock), settings.mapping, settings.provision)


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
