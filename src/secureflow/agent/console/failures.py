"""Failures as pages: what happened, the next step, the code; and the way to the login."""

from __future__ import annotations

import re
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from secureflow.agent.console.asking import ENDED
from secureflow.agent.console.visits import HOME, Visit, login_path
from secureflow.domain.httpstatus import status_of
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text
from secureflow.texts import error_in

_ARRIVED: Final = "arrived=1"
"""In the query of an address that we asked for once more."""
_ITEM: Final = re.compile(r"/r/[0-9a-f]{64}(?=/)")

_log = get_logger(__name__)


def to_login(visit: Visit) -> Response:
    """Lead to the login, and from there back."""
    request = visit.request
    if request.headers.get("sec-fetch-site") == "cross-site" and _ARRIVED not in request.url.query:
        # A link of elsewhere: the browser keeps a SameSite=Strict cookie back until we ask.
        mark = f"{'&' if request.url.query else '?'}{_ARRIVED}"
        return visit.page("arrive", back=f"{visit.path}{mark}")
    back = visit.path
    if request.method == "POST":
        item = _ITEM.match(request.url.path)
        back = item[0] if item else HOME
    answer = RedirectResponse(login_path(back), 303)
    if visit.session:
        visit.site.cookies.clear_session(answer)
    return answer


def error_page(visit: Visit, error: SecureFlowError) -> Response:
    """Return an error as a page: what happened, the next step, the code."""
    if error.code in ENDED:
        return to_login(visit)
    error = for_people(error)
    said = error_in(error.as_json(), visit.language)
    status = status_of(error.code)
    answer = visit.page("error", status, error=said)
    if "retry_after" in error.details:
        answer.headers["Retry-After"] = str(error.details["retry_after"])
    return answer


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
