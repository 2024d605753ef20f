"""The listener's requests, which anybody may send: small, few, and answered in the same form.

Everything is refused before it is read where its size says so, each source address has its rate,
and an error is answered by its code alone and its English message: no trace, no path, no header.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from secureflow.application.throttle import Throttle, too_fast
from secureflow.kit.addresses import UNKNOWN, source_of
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Ticks
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger

MAX_HEADERS: Final = 64
MAX_HEADER: Final = 8 << 10
"""Bytes of all headers together."""
MAX_TARGET: Final = 512
"""Bytes of a path with its query."""
JSON_TYPE: Final = "application/json"
STATUS: Final[Mapping[str, int]] = {
    "malformed_submission": 400,
    "malformed_note": 400,
    "malformed_request": 400,
    "malformed_json": 400,
    "malformed_entry": 400,
    "not_canonical": 400,
    "ledger_bad_signature": 403,
    "forbidden": 403,
    "anchor_refused": 403,
    "not_found": 404,
    "witness_unknown_log": 404,
    "anchor_not_founded": 409,
    "witness_behind": 409,
    "ledger_inconsistent": 409,
    "too_large": 413,
    "witness_no_proof": 422,
    "rate_limited": 429,
}
"""Everything else is 503: what this agent cannot do now."""

_log = get_logger(__name__)


@dataclass(frozen=True)
class Asked:
    """A request: what its query says, and its body."""

    body: bytes
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    body: bytes
    media: str = JSON_TYPE
    status: int = 200


@dataclass(frozen=True)
class Endpoint:
    """One address.

    Args:
        method: GET or POST.
        path: of it.
        most: bytes of a body.
        handle: answers.
        failed: answers an error otherwise than as JSON; None leaves it to that.
    """

    method: str
    path: str
    most: int
    handle: Callable[[Asked], Awaitable[Reply]]
    failed: Callable[[SecureFlowError, int], Reply | None] = lambda _error, _status: None


def json_reply(value: JSON, status: int = 200) -> Reply:
    """Return a JSON answer."""
    return Reply(json.dumps(value).encode(), JSON_TYPE, status)


class ListenerApp:
    """The ASGI application.

    Args:
        endpoints: by method and path.
        per_minute: requests of one source address.
        ticks: seconds of a monotonic clock.
    """

    def __init__(self, endpoints: Iterable[Endpoint], per_minute: int, ticks: Ticks) -> None:
        self._endpoints = {(one.method, one.path): one for one in endpoints}
        self._rate = Throttle(per_minute / 60, per_minute, ticks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        endpoint = self._endpoints.get((request.method, scope["path"]))
        try:
            reply = await self._answered(request, endpoint)
        except SecureFlowError as error:
            reply = _failed(error, endpoint)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  the process edge: a foreign request must not end the agent
            _log.error("listener_failed", path=scope["path"][:100], exc_info=error)
            reply = json_reply({"code": "internal", "message": "An internal error."}, 500)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        answer = Response(reply.body, reply.status, headers, reply.media)
        if reply.media.startswith("text/"):
            answer.headers["content-type"] = reply.media  # without Starlette's charset
        await answer(scope, receive, send)

    async def _answered(self, request: Request, endpoint: Endpoint | None) -> Reply:
        scope = request.scope
        address, _ = scope.get("client") or (UNKNOWN, 0)
        if wait := self._rate.take(source_of(address)):
            raise too_fast(wait)
        raw = scope["headers"]
        target = len(scope.get("raw_path", b"")) + len(scope["query_string"])
        long = len(raw) > MAX_HEADERS or sum(len(a) + len(b) for a, b in raw) > MAX_HEADER
        if long or target > MAX_TARGET:
            raise SecureFlowError("too_large", "The request is too large.", "Send less at once.")
        if endpoint is None:
            raise SecureFlowError("not_found", "There is nothing at this address.")
        return await endpoint.handle(
            Asked(await _body(request, endpoint.most), dict(request.query_params))
        )


async def _body(request: Request, most: int) -> bytes:
    """Read a body; one without a length is counted while it comes."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > most:
        raise _too_large()
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise _too_large()
    return bytes(body)


def _failed(error: SecureFlowError, endpoint: Endpoint | None) -> Reply:
    status = STATUS.get(error.code, 503)
    if isinstance(error, InfrastructureError):
        status = 503
    special = endpoint.failed(error, status) if endpoint else None
    return special or json_reply({"code": error.code, "message": str(error.message)}, status)


def _too_large() -> SecureFlowError:
    return SecureFlowError("too_large", "The body is too large.", "Send less at once.")
