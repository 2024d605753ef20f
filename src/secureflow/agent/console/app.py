"""The owner's page as an ASGI application."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from secureflow.agent.console.addresses import CALLBACK, is_api
from secureflow.agent.console.api.endpoints import routes as api_routes
from secureflow.agent.console.api.problems import problem
from secureflow.agent.console.api.routes import OPERATIONS
from secureflow.agent.console.asking import AgentSocket
from secureflow.agent.console.attempts import Attempts
from secureflow.agent.console.failures import TO_PAGE, error_page, of_http
from secureflow.agent.console.guards import Guards
from secureflow.agent.console.hosts import Hosts
from secureflow.agent.console.providers import callback
from secureflow.agent.console.sessions import Cookies
from secureflow.agent.console.site import Site
from secureflow.agent.console.visitors import Visitors
from secureflow.agent.console.visits import Visit, visit_of
from secureflow.agent.console.watching import Watching
from secureflow.agent.console.web import DIST, Web
from secureflow.agent.consolesettings import ConsoleSettings
from secureflow.kit.builtfiles import BuiltPage
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.texts.negotiation import asked

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
        built: the page for browsers; None: as it lies beside the code.
    """
    agent, cookies = AgentSocket(socket), Cookies(settings.encrypted, port)
    parts = Attempts(ticks), Visitors(agent, ticks), Watching(AgentSocket(socket, 1, 1))
    site = Site(agent, clock, cookies, *parts)
    routes = [
        *Web(built or BuiltPage(DIST)).routes(),
        *api_routes(site, OPERATIONS),
        Route(CALLBACK, partial(_came_back, site)),
    ]
    failed = partial(_failed, site)
    handlers = {HTTPException: failed, SecureFlowError: failed, Exception: failed}
    app = Starlette(routes=routes, exception_handlers=handlers)
    return Guards(app, Hosts.of(settings, port), partial(_refused, site), ticks)


async def _came_back(site: Site, request: Request) -> Response:
    """Answer a browser that comes back from an identity provider."""
    return await callback(visit_of(site, request))


def _refused(site: Site, scope: Scope, error: SecureFlowError) -> ASGIApp:
    """Return the answer to a request that nothing sees: without session, person or links."""
    request = Request(scope)
    language = asked(request.headers.get("accept-language", ""))
    if is_api(request.url.path):
        return problem(Visit(request, site, language), error)
    return error_page(error, language)


def _answer(site: Site, request: Request, error: SecureFlowError) -> Response:
    """Return an error as who asked reads it: a program, or a person, whom a link leads on."""
    visit = visit_of(site, request)
    if is_api(request.url.path):
        return problem(visit, error)
    way = None if error.code == "console_not_built" else TO_PAGE
    return error_page(error, visit.language, way)


async def _failed(site: Site, request: Request, error: Exception) -> Response:
    """Answer what nothing caught: no such address, a wrong method, a defect."""
    if isinstance(error, SecureFlowError):
        return _answer(site, request, error)
    if isinstance(error, HTTPException):
        answer = _answer(site, request, of_http(request, error))
        answer.headers.update(error.headers or {})
        return answer
    _log.error("page failed with an internal error", path=request.url.path, exc_info=error)
    return _answer(
        site,
        request,
        SecureFlowError(
            "internal",
            "The owner's page had an internal error.",
            "The log of its process has the trace; the command line works beside it.",
        ),
    )
