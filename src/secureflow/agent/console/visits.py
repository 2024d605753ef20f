"""One request of a browser: whose it is, in which language, and the agent that is asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from secureflow.agent.console.asking import PATIENCE
from secureflow.agent.console.language import language_of
from secureflow.agent.console.site import Site
from secureflow.kit.canonical import JSON
from secureflow.texts import Language


@dataclass(frozen=True)
class Visit:
    """A request.

    Args:
        request: as Starlette has it.
        site: the page's parts.
        language: of the answer.
        session: the agent's session that the cookie brought, or empty.
        welcome: what the agent says to everybody: `organisation`, and whether it has `accounts`.
        person: the account whose session it is (`people.me`); empty of an operation for anybody.
        unattended: whether the page asks by itself, for what changed while nobody touched it.
    """

    request: Request
    site: Site
    language: Language
    session: str = field(default="", repr=False)
    welcome: Mapping[str, Any] = field(default_factory=dict)
    person: Mapping[str, Any] = field(default_factory=dict)
    unattended: bool = False

    async def ask(self, command: str, patience: float = PATIENCE, /, **arguments: JSON) -> JSON:
        """Send a command to the agent with this person's session.

        Raises:
            SecureFlowError: as `AgentSocket.ask`.
        """
        return await self.site.agent.ask(
            command, self.session, patience, self.unattended, **arguments
        )

    @property
    def address(self) -> str:
        """The address of the client, or ""."""
        return self.request.client.host if self.request.client else ""

    def may(self, role: str) -> bool:
        """Tell whether the person holds a role or a higher one; the agent decides in any case."""
        roles = ("viewer", "decider", "owner-admin")
        held = self.person.get("roles") or ()
        return any(one in roles and roles.index(one) >= roles.index(role) for one in held)


def visit_of(site: Site, request: Request) -> Visit:
    """Return a request with what its browser brings."""
    session = site.cookies.session_of(request.headers)
    return Visit(request, site, language_of(site, request), session)
