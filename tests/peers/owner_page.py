"""The owner's page over the control socket of an agent of a test, and browsers that visit it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from peers.agent_people import PASSWORD, Team
from peers.agent_world import World

from secureflow.agent.console.addresses import API
from secureflow.agent.console.api.operations import FORM
from secureflow.agent.console.app import build_app
from secureflow.agent.consolesettings import ConsoleSettings
from secureflow.kit.builtfiles import BuiltPage

PORT: Final = 8765
OWN: Final = f"http://127.0.0.1:{PORT}"
BUILT: Final = (
    '<meta name="secureflow-prefix" content="__PREFIX__"><meta property="csp-nonce" '
    'nonce="__NONCE__"><script type="module" src="./assets/main-1a.js"></script>'
)
"""What the tests serve for the built page."""


@dataclass
class Browser:
    """A browser in which the page is open: it keeps cookies, and the token of its session.

    Its requests say where they come from, as a browser's do.
    """

    client: httpx.AsyncClient
    origin: str = OWN
    form: str = ""

    async def open(self, path: str, **headers: str) -> httpx.Response:
        """Type an address, or follow a bookmark."""
        return await self.client.get(path, headers={"Sec-Fetch-Site": "none", **headers})

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask the API for something."""
        own = {"Sec-Fetch-Site": "same-origin", **headers}
        return await self.client.get(f"{API}{path}", headers=own)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Change something by the API."""
        own = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", FORM: self.form}
        sent = {"json": body} if body is not None else {}
        return await self.client.request(
            method, f"{API}{path}", headers=own | dict(headers or {}), **sent
        )

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Change something by POST."""
        return await self.send("POST", path, body, headers)

    async def log_in(self, name: str, password: str = PASSWORD, code: str = "") -> httpx.Response:
        """Log in, and keep the token."""
        answer = await self.post("/session", {"name": name, "password": password, "code": code})
        if answer.status_code == httpx.codes.OK:
            self.form = answer.json()["form"]
        return answer

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
        assert answer.status_code == httpx.codes.OK, answer.text
        return made


def built_page(directory: Path) -> BuiltPage:
    """Return a built page whose program does nothing."""
    (directory / "dist" / "assets").mkdir(parents=True)
    (directory / "dist" / "index.html").write_text(BUILT)
    (directory / "dist" / "assets" / "main-1a.js").write_text("plain")
    return BuiltPage(directory / "dist")


@asynccontextmanager
async def owner_page(
    directory: Path,
    world: World | None = None,
    settings: ConsoleSettings | None = None,
    people: tuple[str, ...] | None = (),
    **more: Any,
) -> AsyncIterator[OwnerPage]:
    """Serve the page of an agent; `people` are its accounts, by default all, for None none."""
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
            built_page(directory),
        )
        yield OwnerPage(team, app)
    finally:
        await team.server.stop()
