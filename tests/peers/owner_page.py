"""The owner's page over the control socket of an agent of a test, and browsers that visit it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from peers.agent_people import PASSWORD, Team
from peers.agent_world import World

from secureflow.agent.console.app import build_app
from secureflow.agent.consolesettings import ConsoleSettings
from secureflow.kit.builtfiles import BuiltPage

PORT: Final = 8765
OWN: Final = f"http://127.0.0.1:{PORT}"
_FORM: Final = re.compile(r'name="form" value="([0-9a-f]{64})"')


@dataclass
class Browser:
    """A browser: it keeps cookies, and says where its requests come from."""

    client: httpx.AsyncClient
    origin: str = OWN

    async def open(self, path: str, **headers: str) -> httpx.Response:
        """Type an address, or follow a bookmark."""
        return await self.client.get(path, headers={"Sec-Fetch-Site": "none", **headers})

    async def send(
        self, path: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a form of the page itself."""
        own = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        return await self.client.post(path, data=dict(fields), headers=own | dict(headers or {}))

    async def log_in(self, name: str, password: str = PASSWORD, **more: str) -> httpx.Response:
        """Log in."""
        return await self.send("/login", {"name": name, "password": password, **more})

    async def token(self, path: str = "/inbox") -> str:
        """Return the token that the page's forms have now."""
        found = _FORM.search((await self.open(path)).text)
        return found[1] if found else ""

    async def act(self, path: str, **fields: str) -> httpx.Response:
        """Send a form with its token, as a person does who has the page before them."""
        return await self.send(path, {"form": await self.token(), **fields})

    @property
    def session(self) -> str:
        """The session that the browser holds."""
        return self.client.cookies.get(f"secureflow-owner-{PORT}") or ""


@dataclass
class OwnerPage:
    """A page that is served."""

    team: Team
    app: Any

    def browser(self, address: str = "127.0.0.1", base: str = OWN) -> Browser:
        """Return a browser without cookies at an address."""
        transport = httpx.ASGITransport(self.app, client=(address, 4711))
        return Browser(httpx.AsyncClient(transport=transport, base_url=base), base)

    async def of(self, name: str) -> Browser:
        """Return a browser in which a person is logged in."""
        made = self.browser()
        answer = await made.log_in(name)
        assert answer.status_code == 303, answer.text
        return made


@asynccontextmanager
async def owner_page(
    directory: Path,
    world: World | None = None,
    settings: ConsoleSettings | None = None,
    people: tuple[str, ...] | None = (),
    built: BuiltPage | None = None,
    **more: Any,
) -> AsyncIterator[OwnerPage]:
    """Serve the page of an agent; `people` are its accounts, by default all, for None none.

    `built` is the page for browsers; without one there are the pages without script.
    """
    made = world or World(directory / "agent", policy="")
    team = Team(made, **more)
    if people is not None:
        await team.gather(*people)
    await team.server.start()
    try:
        app = build_app(
            settings or ConsoleSettings(),
            made.settings.socket,
            PORT,
            lambda: made.now,
            lambda: team.ticks,
            built,
        )
        yield OwnerPage(team, app)
    finally:
        await team.server.stop()
