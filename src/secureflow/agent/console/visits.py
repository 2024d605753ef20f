"""One request of a browser, as a page sees it: whose it is, in which language, and its agent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from secureflow.agent.console.asking import PATIENCE
from secureflow.agent.console.sessions import form_token, is_token_of
from secureflow.agent.console.site import Site
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import Language

Handler = Callable[["Visit"], Awaitable[Response]]

MAX_FIELDS: Final = 64
BODY_SECONDS: Final = 15.0
"""In which a form must have arrived."""
FORM: Final = "form"
"""The field of a form that has its token."""
_FORMS: Final = "application/x-www-form-urlencoded"
HOME: Final = "/inbox"


@dataclass(frozen=True)
class Page:
    """An address of the page, and what answers there.

    Args:
        path: a Starlette path, such as `/r/{item}`.
        show: answers GET.
        act: answers POST; None: nothing can be done there.
        outside: whether it is for those who are not logged in.
        title: what the navigation calls it; empty: it is not named there.
        fresh: whether the agent is asked anew whose session it is: nothing else asks it.
    """

    path: str
    show: Handler | None = None
    act: Handler | None = None
    outside: bool = False
    title: str = ""
    fresh: bool = False

    @property
    def methods(self) -> list[str]:
        """The HTTP methods that it answers."""
        return [*(["GET"] if self.show else []), *(["POST"] if self.act else [])]


@dataclass(frozen=True)
class Visit:
    """A request.

    Args:
        request: as Starlette has it.
        site: the page's parts.
        language: of the answer.
        session: the agent's session that the cookie brought, or empty.
        welcome: what the agent says to everybody: `organisation`, and whether it has `accounts`.
        person: the account whose session it is (`people.me`); empty for a page `outside`.
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

    def page(self, template: str, status: int = 200, /, **values: Any) -> Response:
        """Return a page made from a template.

        Every template has `visit`, `organisation`, `person`, `path`, and `form`, the token that
        each of its forms brings back.
        """
        own: dict[str, Any] = {
            "visit": self,
            "organisation": self.welcome.get("organisation", ""),
            "person": self.person,
            "path": self.path,
            "form": self.form,
        }
        return self.site.pages.page(template, status, self.language, own | values)

    @property
    def path(self) -> str:
        """The address that was asked for, with its query; of a login at a provider, the login.

        What comes back from a provider is secret, and good once.
        """
        if self.request.url.path.startswith("/oidc/"):
            return "/login"
        query = self.request.url.query
        return self.request.url.path + (f"?{query}" if query else "")

    @property
    def form(self) -> str:
        """The token of this session's forms."""
        return form_token(self.session) if self.session else ""

    def may(self, role: str) -> bool:
        """Tell whether the person holds a role or a higher one; the agent decides in any case."""
        roles = ("viewer", "decider", "owner-admin")
        held = self.person.get("roles") or ()
        return any(one in roles and roles.index(one) >= roles.index(role) for one in held)

    async def fields(self) -> dict[str, str]:
        """Return the fields of the form that was sent by a page of this session.

        Raises:
            SecureFlowError: `form_refused`; as `form_fields`.
        """
        found = await form_fields(self.request)
        if not is_token_of(found.pop(FORM, ""), self.session):
            raise SecureFlowError(
                "form_refused",
                "The form is not of your session: nothing was done.",
                "Open the page again, and send it from there.",
            )
        return found


async def form_fields(request: Request) -> dict[str, str]:
    """Return the fields of a form, each once.

    Raises:
        SecureFlowError: `malformed_request`, `too_large`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind != _FORMS:
            raise ValueError(kind)
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.body()
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict",
            max_num_fields=MAX_FIELDS,
        )  # fmt: skip
    except (ValueError, TimeoutError, ClientDisconnect) as error:
        raise SecureFlowError(
            "malformed_request", "The form cannot be read.", "Send it from the page."
        ) from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise SecureFlowError(
            "malformed_request", "The form has a field twice.", "Send it from the page."
        )
    return {name: value.replace("\r\n", "\n") for name, value in fields.items()}


def own_path(given: str) -> str:
    """Return a path of this page, for a redirect; anything else becomes the inbox.

    `//host`, `/\\host` and what a browser removes from an address would lead elsewhere.
    """
    plain = given.isascii() and given.isprintable() and len(given) <= 512
    own = given.startswith("/") and not given.startswith("//") and "\\" not in given
    return given if plain and own and " " not in given else HOME


def see(path: str) -> Response:
    """Send the browser to another page of ours with GET (Post/Redirect/Get)."""
    return RedirectResponse(own_path(path), 303)


def login_path(back: str) -> str:
    """Return the address of the login that leads back to a page of ours."""
    return "/login" if back in ("/", HOME) else f"/login?back={quote(own_path(back), safe='')}"
