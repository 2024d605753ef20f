"""Serving operations: who asks, what was sent, and the answer as JSON or as a problem.

Beside the guards of every address (`console.guards`): a call that writes sends `application/json`,
which no form can (Fetch, 2.2.2: such a request of another origin is asked for first), and shows by
a header that the page which sends it is of this very session. A tab in which somebody else was
logged in a moment ago decides nothing in the name of who is logged in now.

What a page reads by itself, for something changed while nobody touched it, keeps no session alive:
the page says so by a header, which counts for what only reads. Nor does its stream, which browsers
open again by themselves.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from secureflow.agent.console.addresses import API
from secureflow.agent.console.api.operations import FORM, UNATTENDED, Answered, Call, Operation
from secureflow.agent.console.api.problems import problem
from secureflow.agent.console.guards import longest_body
from secureflow.agent.console.sessions import is_token_of
from secureflow.agent.console.site import Site
from secureflow.agent.console.visits import Visit, visit_of
from secureflow.domain.specs.base import adapter, parse
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import escaped_json
from secureflow.kit.text import Text

BODY_SECONDS: Final = 15.0
"""In which a body must have arrived."""
JSON_TYPE: Final = "application/json"
_NOT_IN_USE: Final = SecureFlowError(
    "session_needed",
    "Nobody has an account at this agent yet.",
    "secureflow agent people add NAME --role owner-admin",
)


def routes(site: Site, operations: tuple[Operation, ...]) -> list[Route]:
    """Return what answers the operations."""
    return [
        Route(f"{API}{one.path}", Endpoint(site, one), methods=[one.method]) for one in operations
    ]


class Endpoint:
    """Serves one operation (a class, so that Starlette takes it as an ASGI application)."""

    def __init__(self, site: Site, operation: Operation) -> None:
        self._site = site
        self._operation = operation
        self._patterns = {name: re.compile(one) for name, one in operation.patterns.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        visit = visit_of(self._site, Request(scope, receive))
        try:
            answer = await self._answered(visit)
        except SecureFlowError as error:
            answer = problem(visit, error)
        await answer(scope, receive, send)

    async def _answered(self, visit: Visit) -> Response:
        operation, visitors = self._operation, visit.site.visitors
        visit = replace(visit, welcome=await visitors.welcome())
        if operation.need != "open":
            if not visit.welcome.get("accounts"):
                raise _NOT_IN_USE
            asked = visit.request.headers.get(UNATTENDED) == "1"
            quiet = operation.streams or (asked and not operation.writes)
            person = await visitors.person(visit.session, fresh=operation.fresh, unattended=quiet)
            visit = replace(visit, person=person, unattended=quiet)
            self._check_form(visit)
        self._check_path(visit)
        sent = await self._sent(visit)
        query = _query(operation, visit.request)
        try:
            found = await operation.handler(Call(visit, sent, query))
        finally:
            if operation.writes:
                visitors.forget_all()  # accounts and sessions may have changed
        return self._response(visit, found)

    def _check_form(self, visit: Visit) -> None:
        token = visit.request.headers.get(FORM, "")
        if self._operation.writes and not is_token_of(token, visit.session):
            raise SecureFlowError(
                "form_refused",
                "The page is not of your session: nothing was done.",
                "Open the page again, and send it from there.",
            )

    def _check_path(self, visit: Visit) -> None:
        for name, pattern in self._patterns.items():
            given = str(visit.request.path_params[name])
            if not pattern.fullmatch(given):
                raise SecureFlowError(
                    "not_found",
                    Text("The address has no {part} in it: {given:.130}.", part=name, given=given),
                )

    async def _sent(self, visit: Visit) -> Any:
        operation, request = self._operation, visit.request
        if not operation.writes:
            return None
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if operation.body is None:
            if kind not in ("", JSON_TYPE):
                raise _not_json()
            return None
        if kind != JSON_TYPE:
            raise _not_json()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.body()
        except (TimeoutError, ClientDisconnect) as error:
            raise SecureFlowError(
                "malformed_request", "The body did not arrive.", "Send it again."
            ) from error
        found = parse_json(body, longest_body(request.url.path))
        return parse(operation.body, found, "request")

    def _response(self, visit: Visit, found: Any) -> Response:
        if isinstance(found, Response):
            return found
        value = found.value if isinstance(found, Answered) else found
        answer = _written(self._operation.answer, value, visit)
        if isinstance(found, Answered):
            found.complete(answer)
        return answer


def _written(of: Any, value: Any, visit: Visit) -> Response:
    headers = {"Content-Language": visit.language, "Vary": "Accept-Language, Cookie"}
    if of is None:
        return Response(status_code=204, headers=headers)
    context = {"language": visit.language}
    text = adapter(of).dump_json(value, context=context, warnings=False).decode()
    return Response(escaped_json(text).encode(), 200, headers, JSON_TYPE)


def _query(operation: Operation, request: Request) -> Any:
    """Return what an address asks for; a name that is there twice is none.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    if operation.query is None:
        return None
    given: Mapping[str, str] = request.query_params
    if len(request.query_params.multi_items()) != len(given):
        raise SecureFlowError("invalid_request", "The address names something twice.")
    return parse(operation.query, dict(given), "request")


def _not_json() -> SecureFlowError:
    return SecureFlowError(
        "not_json",
        "The body is not declared to be JSON: nothing was done.",
        "Send it with Content-Type: application/json.",
    )
