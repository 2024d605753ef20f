"""Programs that call the owner's page's API in a test, as its page in the browser does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from peers.agent_people import PASSWORD
from peers.owner_page import OWN, Browser, OwnerPage

from secureflow.agent.console.addresses import API
from secureflow.agent.console.api.operations import FORM


@dataclass
class Caller:
    """The page in one browser: it keeps cookies, and brings the token of its session."""

    browser: Browser
    form: str = ""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask for something."""
        own = {"Sec-Fetch-Site": "same-origin", **headers}
        return await self.browser.client.get(f"{API}{path}", headers=own)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Change something."""
        own = {"Origin": self.browser.origin, "Sec-Fetch-Site": "same-origin", FORM: self.form}
        sent = {"json": body} if body is not None else {}
        return await self.browser.client.request(
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


def caller(page: OwnerPage, address: str = "127.0.0.1", base: str = OWN) -> Caller:
    """Return a browser without cookies, in which the page is open."""
    return Caller(page.browser(address, base))


async def caller_of(page: OwnerPage, name: str) -> Caller:
    """Return one in which a person is logged in."""
    made = caller(page)
    answer = await made.log_in(name)
    assert answer.status_code == httpx.codes.OK, answer.text
    return made
