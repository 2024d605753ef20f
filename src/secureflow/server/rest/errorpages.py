"""Errors as pages, for requests that a browser makes by navigating.

Programs get problem details (RFC 9457) from the same routes: only who accepts `text/html` gets a
page (`application.plainpages`).
"""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from secureflow.application import plainpages
from secureflow.kit.errors import SecureFlowError
from secureflow.server.rest.bodies import Handler, StrictRoute
from secureflow.texts.negotiation import asked


class NavigatedRoute(StrictRoute):
    """A route whose errors are pages where the caller is a browser that navigates."""

    def get_route_handler(self) -> Handler:
        """Wrap the handler that FastAPI makes."""
        inner = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await inner(request)
            except SecureFlowError as error:
                if "text/html" not in request.headers.get("accept", ""):
                    raise
                return error_page(error, request.headers.get("accept-language", ""))

        return shown


def error_page(error: SecureFlowError, languages: str) -> Response:
    """Return an error as a page in the language that `Accept-Language` asks for."""
    page = plainpages.error_page(error, asked(languages))
    return HTMLResponse(page.text, page.status, page.headers)
