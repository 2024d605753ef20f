"""The commands about identity providers, over the control socket: logins, and who is bound to whom.

The owner's page begins a login with `people.oidc_start`, keeps `browser` in a cookie of that
browser, sends it to `url`, and hands in what comes back with `people.oidc_finish`. It names no
address: where the provider sends the browser is in agent.yaml.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from secureflow.agent.edge.arguments import SURROGATE
from secureflow.agent.edge.control import Command
from secureflow.agent.identitysettings import OwnProvider
from secureflow.agent.owner.acting import acting
from secureflow.agent.owner.identities import PersonIdentities, PersonProvider
from secureflow.agent.owner.providerlogins import ProviderLogins
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.adapters.identity.oidc import OidcProvider

CHECK: Final = "secureflow agent doctor"
_LONGEST: Final = 8192
"""Characters of what a browser brings back; providers' codes are long."""


@dataclass(frozen=True)
class ProviderCommands:
    """The commands, over the parts of a running agent."""

    logins: ProviderLogins
    identities: PersonIdentities

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "people.providers": self.providers,
            "people.device_start": self.device_start,
            "people.device_finish": self.device_finish,
            "people.oidc_start": self.oidc_start,
            "people.oidc_finish": self.oidc_finish,
            "people.bind": self.bind,
            "people.unbind": self.unbind,
        }

    async def providers(self) -> list[dict[str, JSON]]:
        """Return where people may log in: `name`, `title`, and whether it knows the `page`."""
        return self.logins.list()

    async def device_start(self, provider: str) -> dict[str, JSON]:
        """Begin a login that is confirmed in any browser."""
        _check(provider)
        return await self.logins.start_device(provider, acting().user)

    async def device_finish(self, login: str) -> dict[str, JSON]:
        """Return what came of it: a session's secret, once, or that it is `waiting`."""
        _check(login)
        return await self.logins.finish_device(login, acting().user)

    async def oidc_start(self, provider: str) -> dict[str, JSON]:
        """Begin a login of the owner's page: `url`, `state`, `browser`, `expires`."""
        _check(provider)
        return await self.logins.start(provider, acting().user)

    async def oidc_finish(
        self,
        provider: str,
        state: str,
        browser: str,
        code: str = "",
        error: str = "",
        iss: str | None = None,
    ) -> dict[str, JSON]:
        """Return the session of a login that came back to the page, once."""
        back = {"state": state, "browser": browser, "code": code, "error": error}
        back |= {} if iss is None else {"iss": iss}
        _check(provider, *back.values())
        return await self.logins.finish(provider, back, acting().user)

    async def bind(
        self, name: str, provider: str, subject: str, roles: JSON = None
    ) -> dict[str, JSON]:
        """Let a person of a provider in under an account; with `roles`, a new one."""
        given = [str(one) for one in roles[:16]] if isinstance(roles, list) else []
        _check(name, provider, subject, *given)
        known = self.logins.provider(provider)
        if given:
            return await asyncio.to_thread(self.identities.add, name, known, subject, tuple(given))
        return await asyncio.to_thread(self.identities.bind, name, known, subject)

    async def unbind(self, name: str, provider: str) -> dict[str, JSON]:
        """Let nobody of a provider in under an account any more."""
        _check(name, provider)
        return await asyncio.to_thread(self.identities.unbind, name, provider)


def person_providers(settings: Iterable[OwnProvider], clock: Clock) -> dict[str, PersonProvider]:
    """Return the configured providers by name; none is dialled, and nothing loaded for it yet."""
    return {one.name: _provider(one, clock) for one in settings}


def _provider(settings: OwnProvider, clock: Clock) -> PersonProvider:
    @cache
    def port() -> OidcProvider:
        return reached(settings, clock)

    roles, factor = settings.roles, settings.second_factor
    return PersonProvider(
        *(settings.name, settings.title or settings.name, settings.issuer, port),
        *(roles.fixed, roles.claim, roles.map, settings.provision),
        factor.claim if factor else (),
        frozenset(factor.values if factor else ()),
        bool(settings.redirect),
    )


def reached(settings: OwnProvider, clock: Clock) -> OidcProvider:
    """Return what reaches a provider.

    Raises:
        SecureFlowError: `invalid_settings`, `key_exposed`: its client's secret cannot be used.
    """
    # The adapter and authlib take 11 MB: loaded only where somebody logs in at a provider.
    from secureflow.adapters.identity.building import Place, provider_of

    return provider_of(settings, Place(settings.callback, CHECK, settings.max_age or 0), clock)


def _check(*values: object) -> None:
    """Refuse what is no text, not UTF-8, or longer than any of these may be (`invalid_request`)."""
    for one in values:
        if not isinstance(one, str) or len(one) > _LONGEST or SURROGATE.search(one):
            raise SecureFlowError("invalid_request", "A value is no text, or too long.")
