"""An owner's page whose people log in at identity providers of a test."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from peers.agent_people import Team
from peers.believing import BelievingProvider
from peers.owner_page import PORT, Browser, OwnerPage, owner_page

from secureflow.agent.edge.providercommands import ProviderCommands
from secureflow.agent.owner.identities import PersonIdentities, PersonProvider
from secureflow.agent.owner.providerlogins import ProviderLogins

BEN: Final = {"sub": "ben@bank", "groups": ["sf-deciders"]}
ROLES: Final = {"sf-deciders": "decider", "sf-viewers": "viewer"}
_REFRESH: Final = re.compile(r'http-equiv="refresh" content="0; url=([^"]*)"')


class AtProviders:
    """Two providers, `sso` and `other`, both with a way back to the page; `device` has none."""

    def __init__(self, page: OwnerPage, team: Team) -> None:
        self.page = page
        self.team = team
        self.sso = BelievingProvider(claims=BEN)
        self.other = BelievingProvider("other", "Other", "https://other.example", claims=BEN)
        device = BelievingProvider("device", "Device", "https://device.example")
        ports = (self.sso, self.other, device)
        known = {one.name: self._provider(one, paged=one is not device) for one in ports}
        world, people = team.world, team.people
        identities = PersonIdentities(world.store, people, team.logins, lambda: world.now)
        parts = known, identities, team.logins, lambda: world.now, lambda: team.ticks
        self.logins = ProviderLogins(*parts)
        team.table.update(ProviderCommands(self.logins, identities).table())
        team.server._commands = team.table

    def _provider(self, port: BelievingProvider, *, paged: bool) -> PersonProvider:
        return PersonProvider(
            *(port.name, port.title, port.issuer, lambda: port, (), ("groups",), ROLES),
            *(False, ("amr",), frozenset({"mfa"}), paged),
        )

    async def begin(
        self, browser: Browser, name: str = "sso", back: str = "", **headers: str
    ) -> httpx.Response:
        """Begin a login in a browser, as its page does."""
        return await browser.post(f"/providers/{name}/start", {"back": back}, **headers)

    async def begun(self, browser: Browser, name: str = "sso", back: str = "") -> str:
        """Begin a login in a browser; return the state that goes to the provider."""
        answer = await self.begin(browser, name, back)
        return parse_qs(urlsplit(answer.json()["url"]).query)["state"][0]

    async def came_back(
        self, browser: Browser, told: Mapping[str, Any], name: str = "sso", **headers: str
    ) -> httpx.Response:
        """Come back from a provider: a navigation from another site, without Strict cookies."""
        lax = [
            f"{one.name}={one.value}"
            for one in browser.client.cookies.jar
            if one.get_nonstandard_attr("SameSite") == "lax"
        ]
        given = {"Sec-Fetch-Site": "cross-site", "Cookie": "; ".join(lax), **headers}
        path = f"/oidc/{name}/callback?{urlencode(told, doseq=True)}"
        return await browser.client.get(path, headers=given)

    async def logged_in(self, name: str = "sso", back: str = "") -> Browser:
        """Return a browser in which somebody logged in at a provider."""
        browser = self.page.browser()
        state = await self.begun(browser, name, back)
        answer = await self.came_back(browser, {"state": state, "code": "code"}, name)
        assert answer.status_code == 200, answer.text
        return browser


def led(answer: httpx.Response) -> str:
    """Return where a page leads on by itself."""
    assert answer.status_code == 200, answer.text
    found = _REFRESH.search(answer.text)
    assert found is not None, answer.text
    return html.unescape(found[1])


def login_cookies(browser: Browser) -> list[str]:
    """Return the names of the cookies of logins that a browser began."""
    prefix = f"secureflow-login-{PORT}-"
    return [one.name for one in browser.client.cookies.jar if one.name.startswith(prefix)]


@asynccontextmanager
async def at_providers(
    directory: Path, people: tuple[str, ...] = ("ada", "ben"), **more: Any
) -> AsyncIterator[AtProviders]:
    """Serve a page with providers at which `ben` has an identity."""
    async with owner_page(directory, people=people, **more) as page:
        made = AtProviders(page, page.team)
        for name in ("sso", "other"):
            given = {"name": "ben", "provider": name, "subject": "ben@bank"}
            await page.team.give("people.bind", "ada", **given)
        yield made
