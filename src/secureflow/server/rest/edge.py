"""The outermost middleware: what every request passes before any handler.

Request id, security headers, rates, body limit, refusal of control characters, metrics. Plain ASGI,
so streams pass through unbuffered.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from typing import Final

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from secureflow.application.throttle import too_fast
from secureflow.application.uploads import UPLOAD_LIMIT
from secureflow.engines.bundles import MAX_BYTES
from secureflow.kit.addresses import UNKNOWN, caller_address, source_of
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.structlogs import structlog
from secureflow.server.metrics import Metrics
from secureflow.server.rest.bodies import too_large
from secureflow.server.rest.cookies import cookie_of
from secureflow.server.rest.problems import problem
from secureflow.server.rest.rates import Rates
from secureflow.server.settings import RestSettings

LARGE: Final = {"/api/v1/bundles": MAX_BYTES, "/api/v1/models/uploads": UPLOAD_LIMIT}
"""Paths whose bodies may be larger than others, with their most bytes."""
UNLIMITED: Final = frozenset({"/healthz", "/readyz"})
BEARER: Final = "Bearer "
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPED_CONTROL: Final = re.compile(rb"%(?:0[0-9A-Fa-f]|1[0-9A-Fa-f]|7[Ff])")

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


@dataclass
class _Exchange:
    """One request in progress: what is known of its answer."""

    request_id: str
    began: float
    status: int = 0


class Edge:
    """Wraps the app (ASGI middleware)."""

    def __init__(
        self, app: ASGIApp, settings: RestSettings, metrics: Metrics, rates: Rates
    ) -> None:
        self._app = app
        self._cap = settings.max_body_bytes
        self._proxies = settings.proxies
        self._prefix = settings.prefix
        self._metrics = metrics
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope["client"] = self._client(scope, headers)
        exchange = _Exchange(_request_id(headers), time.monotonic())
        send_completed = self._with_headers(scope, send, exchange)
        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            refusal = self._refusal(scope, headers)
            if refusal is not None:
                languages = headers.get("accept-language", "")
                answer = problem(refusal, scope["path"], languages=languages)
                await answer(scope, receive, send_completed)
                return
            await self._app(scope, self._capped(receive, self._most(scope)), send_completed)

    def _refusal(self, scope: Scope, headers: Headers) -> SecureFlowError | None:
        """Return why this request is refused, if it is."""
        query = scope["query_string"]
        if _CONTROL.search(scope["path"]) or _ESCAPED_CONTROL.search(query):
            return SecureFlowError(
                "malformed_request", "The URL holds control characters.", "Remove them."
            )
        if "transfer-encoding" in headers and "content-length" in headers:
            return SecureFlowError(
                "malformed_request",
                "The request tells the length of its body in two ways.",
                "Send either Content-Length or Transfer-Encoding.",
            )
        length, most = headers.get("content-length", "0"), self._most(scope)
        if not length.isdecimal() or int(length[:20]) > most:
            return too_large(most)
        if scope["path"] in UNLIMITED:
            return None
        authorization = headers.get("authorization", "")
        token = authorization.removeprefix(BEARER) if authorization.startswith(BEARER) else ""
        token = token or cookie_of(headers, self._prefix)
        wait = self._rates.arrive(source_of(scope["client"][0]), token)
        return too_fast(wait) if wait else None

    def _client(self, scope: Scope, headers: Headers) -> tuple[str, int]:
        """Return the source of the request: as reported by a listed proxy, else its peer."""
        address, port = scope.get("client") or (UNKNOWN, 0)
        return caller_address(address, headers.getlist("x-forwarded-for"), self._proxies), port

    def _most(self, scope: Scope) -> int:
        """Return the most bytes of this request's body."""
        return max(self._cap, LARGE.get(scope["path"], 0))

    def _capped(self, receive: Receive, most: int) -> Receive:
        """Count the received bytes: a chunked body has no length to refuse by."""
        total = 0

        async def capped() -> Message:
            nonlocal total
            message = await receive()
            total += len(message.get("body", b""))
            if total > most:
                raise HTTPException(413)
            return message

        return capped

    def _with_headers(self, scope: Scope, send: Send, exchange: _Exchange) -> Send:
        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = exchange.request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                operation = getattr(scope.get("endpoint"), "__name__", "unmatched")
                seconds = time.monotonic() - exchange.began
                self._metrics.observe(operation, exchange.status, seconds)
            await send(message)

        return completed


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
