"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header): a POST sent twice acts once.

The first success under a key is kept per user and answered again. The same key with another
request is refused, so a key can never stand for two deeds. Answers that hold a secret are not kept
(routes without this class), because a secret is stored nowhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from secureflow.application.access import Principal
from secureflow.kit.errors import SecureFlowError
from secureflow.server.rest.bodies import Handler, StrictRoute
from secureflow.server.rest.callers import authenticate, bearer_of, services_of

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])
_SHAPE: Final = re.compile(r"[\x21-\x7e]{1,128}")


def changes_nothing(endpoint: _Endpoint) -> _Endpoint:
    """Say that a POST only asks: sent twice it is answered twice, and nothing is kept of it."""
    endpoint.__dict__["changes_nothing"] = True
    return endpoint


class OnceRoute(StrictRoute):
    """A route whose POSTs honour `Idempotency-Key`."""

    def innermost(self) -> Handler:
        """Answer again what was answered, else let FastAPI handle it."""
        inner = super().innermost()
        if getattr(self.endpoint, "changes_nothing", False):
            return inner
        locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

        async def once(request: Request) -> Response:
            key = request.headers.get("idempotency-key")
            if request.method != "POST" or key is None:
                return await inner(request)
            if not _SHAPE.fullmatch(key):
                raise SecureFlowError(
                    "invalid_request", "The Idempotency-Key is not 1 to 128 visible characters."
                )
            user = await _user(request)
            lock = locks.setdefault((user, key), asyncio.Lock())
            async with lock:
                return await _answer(request, inner, user, key)

        return once


async def _user(request: Request) -> str:
    known: Principal | None = getattr(request.state, "caller", None)
    return (known or await authenticate(request, bearer_of(request))).user


async def _answer(request: Request, inner: Handler, user: str, key: str) -> Response:
    begin = services_of(request).begin
    wanted = hashlib.sha256(
        f"{request.method} {request.url.path}\n".encode() + await request.body()
    ).hexdigest()
    async with begin() as work:
        kept = await work.idempotency.find(user, key)
    if kept is not None:
        digest, status, body = kept
        if digest != wanted:
            raise SecureFlowError(
                "idempotency_conflict",
                "This Idempotency-Key was used for another request.",
                "Take a fresh key for each new request.",
            )
        return JSONResponse(body, status, {"Idempotent-Replay": "true"})
    response = await inner(request)
    if 200 <= response.status_code < 300:
        async with begin() as work:
            body = json.loads(bytes(response.body)) if response.body else None
            await work.idempotency.remember(
                user, key, wanted, response.status_code, body, int(time.time())
            )
            await work.commit()
    return response
