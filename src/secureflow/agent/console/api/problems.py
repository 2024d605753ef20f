"""Failures of the API as problem details (RFC 9457), in the reader's language."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response

from secureflow.agent.console.asking import ENDED
from secureflow.agent.console.failures import for_people
from secureflow.agent.console.visits import Visit
from secureflow.domain.httpstatus import status_of
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import escaped_json, shown
from secureflow.texts import codes, error_in

MEDIA_TYPE: Final = "application/problem+json"
_IN_PATHS: Final = "/:@!$&'()*+,;=~"
"""What stands in a path as it is (RFC 3986, 3.3)."""


@dataclass(frozen=True)
class Problem:
    """What went wrong, for people (`title`, `detail`, `hint`) and for programs (`code`).

    Args:
        type: `urn:secureflow:problem:` and the code.
        title: what the code means.
        status: of HTTP.
        detail: what happened.
        code: the error's.
        hint: the next step; empty.
        details: more for programs, such as the wrong `fields` of a body.
        instance: the path that was asked.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    details: dict[str, Any]
    instance: str


def problem(visit: Visit, error: SecureFlowError) -> Response:
    """Return an error as an answer; one of a session that ended has the browser forget it."""
    known = for_people(error)
    status = status_of(known.code)
    said = error_in(known.as_json(), visit.language)
    meaning = codes().get(known.code) if visit.language == "zh" else None
    body = Problem(
        type=f"urn:secureflow:problem:{known.code}",
        title=meaning or HTTPStatus(status).phrase,
        status=status,
        detail=shown(said["message"], several=True),
        code=known.code,
        hint=shown(said["hint"], several=True),
        details=said.get("details") or {},
        instance=quote(visit.request.url.path, safe=_IN_PATHS)[:512],
    )
    answer = json_response(asdict(body), status, visit.language, MEDIA_TYPE)
    if "retry_after" in known.details:
        answer.headers["Retry-After"] = str(known.details["retry_after"])
    if known.code in ENDED and visit.session:
        visit.site.cookies.clear_session(answer)
    return answer


def json_response(
    value: Any, status: int, language: str, media_type: str = "application/json"
) -> Response:
    """Return JSON in which nothing is hidden: invisible characters are written as escapes."""
    text = escaped_json(json.dumps(value, ensure_ascii=False, allow_nan=False))
    headers = {"Content-Language": language, "Vary": "Accept-Language, Cookie"}
    return Response(text.encode(), status, headers, media_type)
