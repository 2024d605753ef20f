"""Request bodies say one thing: JSON with a name twice in an object is refused.

Which of the two values counts differs from parser to parser, so a proxy or a log could read another
request than the one that is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute

from secureflow.kit.canonical import parse_json

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_LIMIT: Final = 64 << 20  # the edge has bounded the body before


class StrictRoute(APIRoute):
    """A route whose JSON bodies are parsed strictly."""

    def get_route_handler(self) -> Handler:
        """Wrap the handler that FastAPI makes."""
        inner = super().get_route_handler()
        if self.body_field is None:
            return inner

        async def strict(request: Request) -> Response:
            if body := await request.body():
                parse_json(body, _LIMIT)
            return await inner(request)

        return strict
