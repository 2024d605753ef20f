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
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from secureflow.agent.console.addresses import is_api
from secureflow.agent.console.api.endpoints import routes as api_routes
from secureflow.agent.console.api.problems import problem
from secureflow.agent.console.api.routes import OPERATIONS
from secureflow.agent.console.asking import ENDED, AgentSocket
from secureflow.agent.console.attempts import Attempts
from secureflow.agent.console.failures import error_page, of_http, to_login
from secureflow.agent.console.guards import Guards
from secureflow.agent.console.hosts import Hosts
from secureflow.agent.console.language import language_of
from secureflow.agent.console.rendering import Pages
from secureflow.agent.console.routes import PAGES
from secureflow.agent.console.sessions import Cookies
from secureflow.agent.console.site import Site
from secureflow.agent.console.visitors import Visitors
from secureflow.agent.console.visits import Handler, Page, Visit
from secureflow.agent.console.watching import Watching
from secureflow.agent.console.web import Web
from secureflow.agent.consolesettings import ConsoleSettings
from secureflow.kit.builtfiles import BuiltPage
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.texts.negotiation import asked

_KINDS: Final = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}

_log = get_logger(__name__)


def build_app(
    settings: ConsoleSettings,
    socket: Path,
    port: int,
    clock: Callable[[], float] = time.time,
    ticks: Callable[[], float] = time.monotonic,
    built: BuiltPage | None = None,
) -> ASGIApp:
    """Return the application: its guards are outermost, so that they complete every answer.

    Args:
        settings: of the page.
        socket: of the running agent.
        port: where it is served.
        clock: unix seconds.
        ticks: seconds of a monotonic clock.
        built: the page that was built for browsers, if it is served.
    """
    pages = Pages(clock, [one for one in PAGES if one.title])
    cookies = Cookies(settings.encrypted, port)
    agent = AgentSocket(socket)
    parts = Attempts(ticks), Visitors(agent, ticks), Watching(AgentSocket(socket, 1, 1))
    web = Web(built)
    site = Site(agent, pages, cookies, *parts, web.live)
    routes = [
        Route("/static/{name}", partial(_static, _static_files())),
        *web.routes(),
        *api_routes(site, OPERATIONS),
        *(Route(one.path, _Endpoint(site, web, one), methods=one.methods) for one in PAGES),
    ]
    failed = partial(_failed, site)
    handlers = {HTTPException: failed, SecureFlowError: failed, Exception: failed}
    app = Starlette(routes=routes, exception_handlers=handlers)
    return Guards(app, Hosts.of(settings, port), partial(_refused, site), ticks)


class _Endpoint:
    """Serves one page (a class, so that Starlette takes it as an ASGI application)."""

    def __init__(self, site: Site, web: Web, page: Page) -> None:
        self._site = site
        self._web = web
        self._page = page

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        answer = self._web.instead(self._page, request) or await self._answered(request)
        await answer(scope, receive, send)

    async def _answered(self, request: Request) -> Response:
        visit = Visit(
            request, self._site, language_of(self._site, request),
            self._site.cookies.session_of(request.headers),
        )  # fmt: skip
        try:
            return await _shown(visit, self._page)
        except SecureFlowError as error:
            return error_page(visit, error)


async def _shown(visit: Visit, page: Page) -> Response:
    """Return a page for who may see it: without accounts nothing but how the first is made."""
    handler = page.act if visit.request.method == "POST" else page.show
    assert handler is not None  # noqa: S101  the route's methods
    welcome = await visit.site.visitors.welcome()
    visit = _with(visit, welcome, {})
    if not welcome.get("accounts"):
        return visit.page("first")
    if page.outside:
        return await handler(visit)
    try:
        person = await visit.site.visitors.person(visit.session, fresh=page.fresh)
    except SecureFlowError as error:
        if error.code not in ENDED:
            raise
        return to_login(visit)
    try:
        return await _handled(handler, _with(visit, welcome, person))
    finally:
        if visit.request.method == "POST":  # whose account it is may have changed
            visit.site.visitors.forget_all()


async def _handled(handler: Handler, visit: Visit) -> Response:
    try:
        return await handler(visit)
    except SecureFlowError as error:
        return error_page(visit, error)


def _with(visit: Visit, welcome: Mapping[str, Any], person: Mapping[str, Any]) -> Visit:
    return Visit(visit.request, visit.site, visit.language, visit.session, welcome, person)


def _refused(site: Site, scope: Scope, error: SecureFlowError) -> ASGIApp:
    """Return the answer to a request that no page sees: without session, person or links."""
    request = Request(scope)
    return _answer(Visit(request, site, asked(request.headers.get("accept-language", ""))), error)


def _answer(visit: Visit, error: SecureFlowError) -> Response:
    """Return an error as who asked reads it: a person, or a program."""
    of_api = is_api(visit.request.url.path)
    return problem(visit, error) if of_api else error_page(visit, error)


async def _failed(site: Site, request: Request, error: Exception) -> Response:
    """Answer what no page caught: no such address, a wrong method, a defect."""
    visit = Visit(request, site, language_of(site, request))
    if isinstance(error, SecureFlowError):
        return _answer(visit, error)
    if isinstance(error, HTTPException):
        answer = _answer(visit, of_http(request, error))
        answer.headers.update(error.headers or {})
        return answer
    _log.error("page failed with an internal error", path=request.url.path, exc_info=error)
    return _answer(
        visit,
        SecureFlowError(
            "internal",
            "The owner's page had an internal error.",
            "The log of its process has the trace; the command line works beside it.",
        ),
    )


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
