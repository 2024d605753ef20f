"""Errors as pages, for requests that a browser makes by navigating.

Programs get problem details (RFC 9457) from the same routes: only who accepts `text/html` gets a
page (`application.plainpages`), which leads to the login: who comes from another site has no way
back of their own.
"""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from secureflow.application import plainpages
from secureflow.application.plainpages import Way
from secureflow.kit.errors import SecureFlowError
from secureflow.server.rest.bodies import Handler, StrictRoute
from secureflow.server.rest.cookies import settings_of
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
                login = Way(f"{settings_of(request).prefix}/login", "To the login")
                return error_page(error, request.headers.get("accept-language", ""), login)

        return shown


def error_page(error: SecureFlowError, languages: str, way: Way | None = None) -> Response:
    """Return an error as a page in the language that `Accept-Language` asks for."""
    page = plainpages.error_page(error, asked(languages), way)
    return HTMLResponse(page.text, page.status, page.headers)
