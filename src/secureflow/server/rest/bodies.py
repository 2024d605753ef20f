"""Request bodies: read after the sender is known, within limits, parsed once and strictly.

JSON with duplicate names in an object is refused: parsers differ on which value counts, so a proxy
or a log could read another request than the one that is carried out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cache
from typing import Annotated, Any, Final, TypeVar

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import Field, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from secureflow.application.access import Principal
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.server.rest.callers import authenticate, caller_of, rates_of
from secureflow.server.settings import RestSettings

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])

OPEN_BYTES: Final = 32 * 1024
"""Maximum size of a body without a token: enrolment contains a CSR of at most 16 KiB."""
MAX_DEPTH: Final = 32
LARGE: Final = 16 * 1024
"""Bodies from this size on are parsed and validated in a thread."""
MANY_PROBLEMS: Final = 100
"""Maximum number of problems listed for a large body: each costs more than its value did."""
BINARY: Final = "application/octet-stream"
BYTES: Final[dict[str, Any]] = {
    "content": {BINARY: {"schema": {"type": "string", "format": "binary"}}}
}
"""How a body of bytes, of a request or of an answer, is described."""
SLOW: Final = 1.0
"""Seconds after which a body's sender is looked up again: access may have ended meanwhile."""
TURN: Final = 1000
"""This many names and values of a body count as one more request of its sender."""


def at_most(size: int) -> Callable[[_Endpoint], _Endpoint]:
    """Limit the bytes of an endpoint's body, if far fewer than the default."""

    def mark(endpoint: _Endpoint) -> _Endpoint:
        endpoint.__dict__["most_bytes"] = size
        return endpoint

    return mark


class Parsed(Request):
    """A request whose body has already been read and parsed."""

    def __init__(self, request: Request, text: bytes, value: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._text = text
        self._value = value

    async def body(self) -> bytes:
        """Return the bytes."""
        return self._text

    async def json(self) -> Any:
        """Return the value."""
        return self._value


class StrictRoute(APIRoute):
    """A route whose body is read last, after authentication and authorisation."""

    read: Callable[[], TypeAdapter[Any]] | None = None
    """Returns pydantic's reader of its body, if it takes one."""

    def get_route_handler(self) -> Handler:
        """Wrap the handler that FastAPI makes."""
        inner = self.innermost()
        if self.body_field is None:
            return inner
        private = _asks_who_calls(self.dependant)
        bound: int | None = getattr(self.endpoint, "most_bytes", None if private else OPEN_BYTES)
        info = self.body_field.field_info
        asked: Any = info.annotation
        if info.discriminator:
            asked = Annotated[asked, Field(discriminator=info.discriminator)]
        # Only a large body and a wrong one need it, and it takes long to make.
        self.read = model = cache(lambda: TypeAdapter[Any](asked))

        async def strict(request: Request) -> Response:
            settings: RestSettings = request.app.state.settings
            caller = await authenticate(request) if private else None
            began = time.monotonic()
            text = await read_body(
                request, min(bound or settings.max_body_bytes, settings.max_body_bytes)
            )
            if private and time.monotonic() - began > SLOW:
                request.state.caller = None
                caller = await authenticate(request)
            if not text:
                return await inner(Parsed(request, text, None))
            _check_size(text, settings.max_body_values, caller, request)
            if len(text) < LARGE:
                return await inner(Parsed(request, text, _parse(text)))
            value = await asyncio.to_thread(_parse_large, text, model)
            return await inner(Parsed(request, text, value))

        return strict

    def innermost(self) -> Handler:
        """Return the handler for a request with a parsed body."""
        return super().get_route_handler()


def _asks_who_calls(dependant: Dependant) -> bool:
    return dependant.call is caller_of or any(map(_asks_who_calls, dependant.dependencies))


async def read_body(request: Request, most: int) -> bytes:
    """Return the body; refuse it as soon as it is known to be too long.

    Raises:
        SecureFlowError: `too_large`; as `body_parts`.
    """
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > most:
        raise too_large(most)
    parts, size = [], 0
    async for part in body_parts(request):
        size += len(part)
        if size > most:
            raise too_large(most)
        parts.append(part)
    return b"".join(parts)


async def body_parts(request: Request) -> AsyncIterator[bytes]:
    """Yield the body's parts; a caller that leaves in between has sent nothing.

    Raises:
        SecureFlowError: `malformed_request`.
    """
    try:
        async for part in request.stream():
            yield part
    except ClientDisconnect:
        # Not a bug, and there is no reader: strangers can cause this at will.
        raise SecureFlowError(
            "malformed_request", "The body ended before it was complete."
        ) from None


async def sent_parts(request: Request, caller: Principal) -> AsyncIterator[bytes]:
    """Yield the parts of a large body; at its end its sender must be who they were at its start.

    Raises:
        SecureFlowError: as `body_parts` and `check_sender`.
    """
    async for part in body_parts(request):
        yield part
    await check_sender(request, caller)


async def check_sender(request: Request, caller: Principal) -> None:
    """Look up again who sent a body: what they may do may have ended while it came.

    Raises:
        SecureFlowError: as `authenticate`; `stale_version` if roles or scopes are others now.
    """
    if await authenticate(request) != caller:
        raise SecureFlowError(
            "stale_version",
            "Your account or token was changed while the body was sent.",
            "See what you may do: secureflow user me. Then send it again.",
        )


def _check_size(text: bytes, most: int, caller: Principal | None, request: Request) -> None:
    """Refuse a body with too many names and values, before any of them is built."""
    values = sum(map(text.count, (b",", b":", b"[", b"{")))
    if values > most:
        raise SecureFlowError(
            "too_large",
            Text("The body holds more than {most} names and values.", most=most),
            "Send less at once.",
            {"limit": most},
        )
    if caller is not None and values >= TURN:
        rates_of(request).charge(caller.user, values / TURN)


def _parse_large(text: bytes, model: Callable[[], TypeAdapter[Any]]) -> Any:
    """Return the model, or the bare value if FastAPI should report what is wrong with it."""
    value = _parse(text)
    try:
        return model().validate_python(value)
    except ValidationError as error:
        if error.error_count() > MANY_PROBLEMS:
            raise SecureFlowError(
                "invalid_request",
                Text(
                    "The request is not valid, in {count} places.",
                    count=error.error_count(),
                ),
                "Compare it with the API's description; is it the right file?",
            ) from None
        return value


def _parse(text: bytes) -> Any:
    value = parse_json(text, len(text))
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [one for inner in level for one in _inside(inner)]
        if not level:
            return value
    raise SecureFlowError(
        "malformed_json",
        Text("The JSON text is nested deeper than {max_depth} levels.", max_depth=MAX_DEPTH),
    )


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def too_large(most: int) -> SecureFlowError:
    """Return the error for a body of more than `most` bytes."""
    return SecureFlowError(
        "too_large",
        Text("The body has more than {most} bytes.", most=most),
        "Send less at once.",
        {"limit": most},
    )
