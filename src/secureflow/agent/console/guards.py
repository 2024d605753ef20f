"""What every request passes before any page, and every answer on its way out (ASGI middleware)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from secureflow.agent.console.addresses import POLICIES
from secureflow.agent.console.hosts import Hosts
from secureflow.application.throttle import Throttle, too_fast
from secureflow.kit.addresses import UNKNOWN, source_of
from secureflow.kit.clock import Ticks
from secureflow.kit.errors import SecureFlowError

MAX_BODY: Final = 64 << 10
"""Bytes of most bodies of the API."""
MAX_POLICY: Final = 512 << 10
"""Bytes of a body with the text of a policy."""
MAX_TARGET: Final = 2048
"""Bytes of a path, and of a query."""
MAX_CALLBACK: Final = 6 << 10
"""Bytes of such an address: codes of some providers have thousands."""
_CALLBACK: Final = re.compile(r"/oidc/[^/]{1,64}/callback")
PER_SECOND: Final = 50.0
BURST: Final = 500
"""Requests of one address: each asks the agent, which has few connections for the page."""
MAX_HEADERS: Final = 64
MAX_HEADER: Final = 8 << 10
"""Bytes of all headers together."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

POLICY: Final = "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: a browser then says Origin: null of what its page sends (Fetch, 3.2.5).
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_OWN: Final = frozenset({"Content-Security-Policy", "Cache-Control"})
"""Headers that the built page and its parts have of their own."""
TRANSPORT: Final = "max-age=31536000"

Refuse = Callable[[Scope, SecureFlowError], ASGIApp]
"""Returns the page that refuses a request."""


class Guards:
    """Wraps the pages.

    Args:
        app: the pages.
        hosts: the names of the page.
        refuse: makes the answer to what is refused.
        ticks: seconds of a monotonic clock.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, refuse: Refuse, ticks: Ticks) -> None:
        self._app = app
        self._hosts = hosts
        self._refuse = refuse
        self._rate = Throttle(PER_SECOND, BURST, ticks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            return
        completed = self._completed(send)
        try:
            self._check(scope)
        except SecureFlowError as error:
            await self._refuse(scope, error)(scope, receive, completed)
            return
        await self._app(scope, capped(receive, longest_body(scope["path"])), completed)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        address, _ = scope.get("client") or (UNKNOWN, 0)
        if wait := self._rate.take(source_of(address)):
            raise too_fast(wait)
        self._hosts.check(scope["method"], headers)
        raw = scope["headers"]
        target = len(scope.get("raw_path", b"")) + len(scope["query_string"])
        most = MAX_CALLBACK if _CALLBACK.fullmatch(scope["path"]) else MAX_TARGET
        long = len(raw) > MAX_HEADERS or sum(len(a) + len(b) for a, b in raw) > MAX_HEADER
        if long or target > most:
            raise SecureFlowError("too_large", "The request is too large.", "Send less at once.")
        if _CONTROL.search(scope["path"]):
            raise SecureFlowError(
                "malformed_request", "The URL holds control characters.", "Remove them."
            )
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers and "content-length" in headers:
            raise SecureFlowError(
                "malformed_request",
                "The request tells the length of its body in two ways.",
                "Send either Content-Length or Transfer-Encoding.",
            )
        if not length.isdecimal() or int(length[:20]) > longest_body(scope["path"]):
            raise too_large()

    def _completed(self, send: Send) -> Send:
        more = {"Strict-Transport-Security": TRANSPORT} if self._hosts.scheme == "https" else {}

        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (HEADERS | more).items():
                    if name not in _OWN or name not in headers:
                        headers[name] = value
            await send(message)

        return completed


def longest_body(path: str) -> int:
    """Return how many bytes may be sent to an address."""
    return MAX_POLICY if path.startswith(f"{POLICIES}/") else MAX_BODY


def capped(receive: Receive, most: int = MAX_BODY) -> Callable[[], Awaitable[Message]]:
    """Count the received bytes: a chunked body has no length to refuse by."""
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > most:
            raise too_large()
        return message

    return counted


def too_large() -> SecureFlowError:
    """Return the error of a body that is too large."""
    return SecureFlowError("too_large", "The body is too large.", "Send less at once.")
