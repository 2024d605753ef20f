"""Errors as pages, for requests that a browser makes by navigating.

Programs get problem details (RFC 9457) from the same routes: only who accepts `text/html` gets a
page. It is plain text in HTML, escaped, without script or style: the content policy allows none.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from secureflow.domain.httpstatus import status_of
from secureflow.kit.errors import SecureFlowError
from secureflow.server.rest.bodies import Handler, StrictRoute
from secureflow.server.rest.languages import headers_in
from secureflow.texts import Language, codes, error_in
from secureflow.texts.negotiation import asked

_PAGE = Markup(
    '<!doctype html>\n<html lang="{language}"><meta charset="utf-8"><title>{title}</title>'
    "<main><h1>{title}</h1><p>{message}</p><p>{hint}</p><p><code>{code}</code></p></main></html>\n"
)


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
    status = status_of(error.code)
    chinese = codes().get(error.code) if asked(languages) == "zh" else None
    said = error_in(error.as_json(), "zh") if chinese else error.as_json()
    language: Language = "zh" if chinese else "en"
    page = _PAGE.format(
        language=language,
        title=chinese or HTTPStatus(status).phrase,
        message=str(said["message"]),
        hint=str(said["hint"]),
        code=error.code,
    )
    headers = dict(headers_in(language))
    if "retry_after" in error.details:
        headers["Retry-After"] = str(error.details["retry_after"])
    return HTMLResponse(str(page), status, headers)
