"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header): a repeated request acts once.

This applies to every change (POST, PATCH, DELETE). The first success under a key is kept per user
and returned again. The same key with another request is refused, so a key can never stand for two
changes; so is it with a token of other scopes, which may not read every answer. The answer is kept
in the transaction of the change (`application.transactions`): a caller who did not receive it,
because the database or the server failed just then, gets it on a retry. Answers that hold a secret
are not kept (routes without this class), because secrets are never stored: there a new one replaces
the one that was made under the same key (`application.idempotency`). The stored answer is English
and is told in the language of the caller (`told_as`). Of the request, only a digest is stored,
keyed with its idempotency key: the body may hold a password, and a reader of the database cannot
guess it offline.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar, get_type_hints
from weakref import WeakValueDictionary

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter

from secureflow.application.access import Principal
from secureflow.application.idempotency import conflict
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.transactions import answering
from secureflow.domain.users import Scope
from secureflow.kit.errors import SecureFlowError
from secureflow.server.rest.bodies import Handler, StrictRoute
from secureflow.server.rest.callers import authenticate, services_of
from secureflow.server.rest.languages import headers_in
from secureflow.texts import Language
from secureflow.texts.negotiation import asked

_Tell = Callable[[Any, Language], object]
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])
CHANGING: Final = frozenset({"POST", "PATCH", "DELETE"})
"""The methods of requests that are not safe to repeat."""
_SHAPE: Final = re.compile(r"[\x21-\x7e]{1,128}")


def key_of(request: Request) -> str | None:
    """Return the Idempotency-Key that a request carries, if it carries one.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not _SHAPE.fullmatch(key):
        raise SecureFlowError(
            "invalid_request", "The Idempotency-Key must be 1 to 128 visible characters."
        )
    return key


def changes_nothing(endpoint: _Endpoint) -> _Endpoint:
    """Mark an endpoint as read-only: a repeated request is answered again, and nothing is kept."""
    endpoint.__dict__["changes_nothing"] = True
    return endpoint


def body_in_query(endpoint: _Endpoint) -> _Endpoint:
    """Mark an endpoint whose query names its body by digest: only the endpoint reads the body.

    Two such requests are the same if their queries are; the body is read, if at all, after the
    endpoint has checked who sends it.
    """
    endpoint.__dict__["body_in_query"] = True
    return endpoint


def shown_as(shape: Callable[[Any], object]) -> Callable[[_Endpoint], _Endpoint]:
    """Set how an endpoint converts the answer of its use case, if it does."""

    def mark(endpoint: _Endpoint) -> _Endpoint:
        endpoint.__dict__["shape"] = shape
        return endpoint

    return mark


def told_as(tell: _Tell) -> Callable[[_Endpoint], _Endpoint]:
    """Say how the JSON of an endpoint's answer is told in a language; it is made in English."""

    def mark(endpoint: _Endpoint) -> _Endpoint:
        endpoint.__dict__["tell"] = tell
        return endpoint

    return mark


class _Kept:
    """One request's key, and the answer kept under it."""

    def __init__(
        self, caller: Principal, key: str, asked: bytes, status: int, shape: Callable[[Any], Any]
    ) -> None:
        self.done = False
        self._user, scopes = caller.user, caller.scopes
        whose = b"" if Scope.ALL in scopes else ",".join(sorted(scopes)).encode() + b"\n"
        self._place = (
            hashlib.sha256(key.encode()).hexdigest(),
            hmac.digest(key.encode(), whose + asked, "sha256").hex(),
        )
        # As earlier versions kept it; they knew no scopes.
        self._older = (key, hashlib.sha256(asked).hexdigest()) if Scope.ALL in scopes else None
        self._status = status
        self._shape = shape

    async def find(self, work: UnitOfWork) -> Response | None:
        """Return the answer kept for this very request, or None.

        Raises:
            SecureFlowError: `idempotency_conflict`.
        """
        for place, wanted in filter(None, (self._place, self._older)):
            kept = await work.idempotency.find(self._user, place)
            if kept is not None:
                digest, status, body = kept
                if digest != wanted:
                    raise conflict()
                return _again(status, body)
        return None

    async def __call__(self, work: UnitOfWork, told: object) -> None:
        """Keep a use case's answer, in its own transaction."""
        if not self.done:
            await self.keep(work, self._status, self._shape(told))
            self.done = True

    async def keep(self, work: UnitOfWork, status: int, body: Any) -> None:
        """Keep an answer."""
        await work.idempotency.remember(self._user, *self._place, status, body, int(time.time()))


def _checked(inner: Handler) -> Handler:
    """Return a handler that keeps nothing, and refuses a key that is none all the same."""

    async def checked(request: Request) -> Response:
        key_of(request)
        return await inner(request)

    return checked


class OnceRoute(StrictRoute):
    """A route that honours `Idempotency-Key` for changes."""

    def innermost(self) -> Handler:
        """Return the kept answer, if any, else let FastAPI handle the request."""
        inner = super().innermost()
        if getattr(self.endpoint, "changes_nothing", False):
            return _checked(inner)
        if not CHANGING & set(self.methods or ()):
            return inner
        status, shape = self.status_code or 200, _shape_of(self.endpoint)
        tell: _Tell | None = getattr(self.endpoint, "tell", None)
        asks = _asked_by_query if getattr(self.endpoint, "body_in_query", False) else _asked
        locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

        async def once(request: Request) -> Response:
            key = key_of(request)
            if key is None:
                return await inner(request)
            caller = await _caller(request)
            lock = locks.setdefault((caller.user, key), asyncio.Lock())
            async with lock:
                kept = _Kept(caller, key, await asks(request), status, shape)
                return await _answer(request, inner, kept)

        async def told(request: Request) -> Response:
            response = await once(request)
            return response if tell is None else _told(request, response, tell)

        return told


def _told(request: Request, response: Response, tell: _Tell) -> Response:
    """Return an answer in the language that the request asks for."""
    language = asked(request.headers.get("Accept-Language", ""))
    if language != "en":
        headers = {n: v for n, v in response.headers.items() if n != "content-length"}
        body = tell(json.loads(bytes(response.body)), language)
        response = JSONResponse(body, response.status_code, headers)
    response.headers.update(headers_in(language))
    return response


def _shape_of(endpoint: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return how an endpoint's answer becomes the JSON of its response."""
    shape: Callable[[Any], Any] = getattr(endpoint, "shape", lambda told: told)
    adapter: TypeAdapter[Any] = TypeAdapter(get_type_hints(endpoint)["return"])
    return lambda told: adapter.dump_python(shape(told), mode="json", by_alias=True)


async def _caller(request: Request) -> Principal:
    known: Principal | None = getattr(request.state, "caller", None)
    return known or await authenticate(request)


async def _asked(request: Request) -> bytes:
    return f"{request.method} {request.url.path}\n".encode() + await request.body()


async def _asked_by_query(request: Request) -> bytes:
    return f"{request.method} {request.url.path}?{request.url.query}\n".encode()


def _again(status: int, body: Any) -> Response:
    headers = {"Idempotent-Replay": "true"}
    return Response(None, 204, headers) if status == 204 else JSONResponse(body, status, headers)


async def _answer(request: Request, inner: Handler, kept: _Kept) -> Response:
    begin = services_of(request).begin
    async with begin() as work:
        known = await kept.find(work)
    if known is not None:
        return known
    with answering(kept):
        response = await inner(request)
    if 200 <= response.status_code < 300 and not kept.done:
        async with begin() as work:
            body = json.loads(bytes(response.body)) if response.body else None
            await kept.keep(work, response.status_code, body)
            await work.commit()
    kept.done = True
    return response
