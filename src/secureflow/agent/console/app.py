"""The owner's page as an ASGI application."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from secureflow.agent.console.asking import AgentSocket
from secureflow.agent.console.attempts import Attempts
from secureflow.agent.console.failures import ENDED, error_page, of_http, to_login
from secureflow.agent.console.guards import Guards
from secureflow.agent.console.hosts import Hosts
from secureflow.agent.console.rendering import Pages
from secureflow.agent.console.routes import PAGES
from secureflow.agent.console.sessions import Cookies
from secureflow.agent.console.site import Site
from secureflow.agent.console.visits import Handler, Page, Visit
from secureflow.agent.consolesettings import ConsoleSettings
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.reading import members
from secureflow.texts import Language
from secureflow.texts.negotiation import asked

_KINDS: Final = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}

_log = get_logger(__name__)


def build_app(
    settings: ConsoleSettings,
    socket: Path,
    port: int,
    clock: Callable[[], float] = time.time,
    ticks: Callable[[], float] = time.monotonic,
) -> ASGIApp:
    """Return the application: its guards are outermost, so that they complete every answer.

    Args:
        settings: of the page.
        socket: of the running agent.
        port: where it is served.
        clock: unix seconds.
        ticks: seconds of a monotonic clock.
    """
    pages = Pages(clock, [one for one in PAGES if one.title])
    cookies = Cookies(settings.encrypted, port)
    site = Site(AgentSocket(socket), pages, cookies, Attempts(ticks))
    routes = [
        Route("/static/{name}", partial(_static, _static_files())),
        Route("/", _home),
        *(Route(one.path, _Endpoint(site, one), methods=one.methods) for one in PAGES),
    ]
    failed = partial(_failed, site)
    handlers = {HTTPException: failed, SecureFlowError: failed, Exception: failed}
    app = Starlette(routes=routes, exception_handlers=handlers)
    return Guards(app, Hosts.of(settings, port), partial(_refused, site), ticks)


class _Endpoint:
    """Serves one page (a class, so that Starlette takes it as an ASGI application)."""

    def __init__(self, site: Site, page: Page) -> None:
        self._site = site
        self._page = page

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        answer = await self._answered(request)
        await answer(scope, receive, send)

    async def _answered(self, request: Request) -> Response:
        visit = Visit(
            request, self._site, _language(self._site, request),
            self._site.cookies.session_of(request.headers),
        )  # fmt: skip
        handler = self._page.act if request.method == "POST" else self._page.show
        assert handler is not None  # noqa: S101  the route's methods
        try:
            return await _shown(visit, handler, outside=self._page.outside)
        except SecureFlowError as error:
            return error_page(visit, error)


async def _shown(visit: Visit, handler: Handler, *, outside: bool) -> Response:
    """Return a page for who may see it: without accounts nothing but how the first is made."""
    welcome = members(await visit.site.agent.ask("people.welcome"))
    visit = _with(visit, welcome, {})
    if not welcome.get("accounts"):
        return visit.page("first")
    if outside:
        return await handler(visit)
    try:
        # Asked always: for the agent's own Unix user its socket lets commands that read pass.
        person = members(await visit.ask("people.me"))
    except SecureFlowError as error:
        if error.code not in ENDED:
            raise
        return to_login(visit)
    return await _handled(handler, _with(visit, welcome, person))


async def _handled(handler: Handler, visit: Visit) -> Response:
    try:
        return await handler(visit)
    except SecureFlowError as error:
        return error_page(visit, error)


def _with(visit: Visit, welcome: Mapping[str, Any], person: Mapping[str, Any]) -> Visit:
    return Visit(visit.request, visit.site, visit.language, visit.session, welcome, person)


def _language(site: Site, request: Request) -> Language:
    chosen = site.cookies.language_of(request.headers)
    return chosen or asked(request.headers.get("accept-language", ""))


def _refused(site: Site, scope: Scope, error: SecureFlowError) -> ASGIApp:
    """Return the answer to a request that no page sees: without session, person or links."""
    request = Request(scope)
    return error_page(
        Visit(request, site, asked(request.headers.get("accept-language", ""))), error
    )


async def _failed(site: Site, request: Request, error: Exception) -> Response:
    """Answer what no page caught: no such address, a wrong method, a defect."""
    visit = Visit(request, site, _language(site, request))
    if isinstance(error, SecureFlowError):
        return error_page(visit, error)
    if isinstance(error, HTTPException):
        answer = error_page(visit, of_http(request, error))
        answer.headers.update(error.headers or {})
        return answer
    _log.error("page failed with an internal error", path=request.url.path, exc_info=error)
    return error_page(
        visit,
        SecureFlowError(
            "internal",
            "The owner's page had an internal error.",
            "The log of its process has the trace; the command line works beside it.",
        ),
    )


async def _home(request: Request) -> Response:
    del request
    return RedirectResponse("/overview", 303)


def _static_files() -> Mapping[str, tuple[bytes, str]]:
    """Return the files of the page by their names: nothing else is ever opened for a browser."""
    folder = files(__package__).joinpath("static")
    return {
        one.name: (one.read_bytes(), _KINDS[Path(one.name).suffix])
        for one in folder.iterdir()
        if Path(one.name).suffix in _KINDS
    }


async def _static(known: Mapping[str, tuple[bytes, str]], request: Request) -> Response:
    content = known.get(request.path_params["name"])
    if content is None:
        raise HTTPException(404)
    return Response(content[0], media_type=content[1])
