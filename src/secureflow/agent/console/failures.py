"""Failures: as small pages where a browser navigates, and what they mean there and in the API."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from secureflow.agent.console.addresses import HOME
from secureflow.application import plainpages
from secureflow.application.plainpages import PlainPage, Way
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text
from secureflow.texts import Language

TO_PAGE = Way(HOME, "Open the page")

_log = get_logger(__name__)


def answered(page: PlainPage) -> Response:
    """Return a small page as an answer; its language may be of a cookie."""
    headers = {**page.headers, "Vary": "Accept-Language, Cookie"}
    return HTMLResponse(page.text, page.status, headers)


def error_page(error: SecureFlowError, language: Language, way: Way | None = None) -> Response:
    """Return an error as a page: what happened, the next step, the code."""
    return answered(plainpages.error_page(for_people(error), language, way))


def for_people(error: SecureFlowError) -> SecureFlowError:
    """Return an error as a visitor may read it: the socket's path is for the owner's log."""
    if error.code != "agent_not_running":
        return error
    _log.warning("agent_away", message=str(error))
    return SecureFlowError(
        "agent_not_running",
        "The agent of this page does not answer.",
        "Start it on its machine: secureflow agent start --config FILE",
    )


def of_http(request: Request, error: HTTPException) -> SecureFlowError:
    """Return what a failure of the routing means: no such address, a wrong method."""
    path = request.url.path
    if error.status_code == 405:
        return SecureFlowError(
            "method_not_allowed",
            Text(
                "The method {method} is not allowed at {path:.200}.",
                method=request.method,
                path=path,
            ),
            "Open the page, and act from there.",
        )
    return SecureFlowError(
        "not_found",
        Text("There is nothing at {path:.200}.", path=path),
        "Begin at the inbox.",
    )
