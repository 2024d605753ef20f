"""Problem details (RFC 9457): the one place where errors become HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from secureflow.domain.fieldfaults import faults, first_of
from secureflow.domain.httpstatus import status_of
from secureflow.domain.specs.base import place_of
from secureflow.kit.disk import exhausted
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.fieldplaces import Form, Names, Place, place
from secureflow.kit.logging import get_logger
from secureflow.kit.plain import shown
from secureflow.kit.text import Text
from secureflow.server.rest.languages import headers_in
from secureflow.texts import codes, error_in
from secureflow.texts.negotiation import asked

MEDIA_TYPE: Final = "application/problem+json"
MAX_FIELDS: Final = 20
_WHERE: Final = frozenset({"body", "query", "path", "header"})
_IN_PATHS: Final = "/:@!$&'()*+,;=~"
"""What stands in a path as it is (RFC 3986, 3.3)."""
_OF_KIND: Final = frozenset({"union_tag_not_found", "union_tag_invalid"})

_log = get_logger(__name__)


class Problem(BaseModel):
    """What went wrong, for people (`detail`, `hint`) and for programs (`code`, `details`).

    `title`, `detail` and `hint` are Chinese where `Accept-Language` prefers it; in English,
    `texts` has the template and facts of `message` (`detail`) and `hint`.
    """

    type: str = Field(examples=["urn:secureflow:problem:not_found"])
    title: str = Field(
        description="What the code means",
        examples=["Not Found"],
    )
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no job 'job_01…' that you can see."])
    code: str = Field(examples=["not_found"])
    hint: str = Field(examples=["List the jobs that you can see."])
    details: dict[str, Any] = Field(examples=[{"noun": "job"}])
    instance: str = Field(examples=["/api/v1/jobs/job_01"])
    texts: dict[str, Any] = Field(default_factory=dict)


def problem(
    error: SecureFlowError,
    instance: str,
    headers: Mapping[str, str] | None = None,
    *,
    languages: str = "",
) -> Response:
    """Return an error as a problem+json answer.

    Args:
        error: what happened.
        instance: the path that was asked, not encoded.
        headers: more headers of the answer.
        languages: the request's `Accept-Language`.
    """
    status = status_of(error.code)
    sent = dict(headers or {})
    chinese = codes().get(error.code) if asked(languages) == "zh" else None
    said = error_in(error.as_json(), "zh") if chinese else error.as_json()
    sent |= headers_in("zh" if chinese else "en")
    if status == HTTPStatus.UNAUTHORIZED:
        sent["WWW-Authenticate"] = "Bearer"
    if "retry_after" in error.details:
        sent["Retry-After"] = str(error.details["retry_after"])
    body = Problem(
        type=f"urn:secureflow:problem:{error.code}",
        title=chinese or HTTPStatus(status).phrase,
        status=status,
        detail=said["message"],
        code=error.code,
        hint=said["hint"],
        details=error.details,
        instance=quote(instance, safe=_IN_PATHS)[:512],
        texts=said.get("texts", {}),
    )
    return JSONResponse(body.model_dump(), status, sent, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Turn every failure of the app into a problem: its own, FastAPI's, Starlette's, and bugs."""
    app.add_exception_handler(SecureFlowError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _defect)


def _answer(
    request: Request, error: SecureFlowError, headers: Mapping[str, str] | None = None
) -> Response:
    languages = request.headers.get("Accept-Language", "")
    return problem(error, request.url.path, headers, languages=languages)


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, SecureFlowError)  # noqa: S101  registered for exactly this
    return _answer(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for exactly this
    read = getattr(request.scope.get("route"), "read", None)
    fields = _fields(error.errors()[:MAX_FIELDS], read and read())
    if any(one["type"] == "json_invalid" for one in error.errors()):
        refusal = SecureFlowError("malformed_json", "The body is not JSON.", "Send valid JSON.")
        return _answer(request, refusal)
    first = first_of(fields)
    refusal = SecureFlowError(
        "invalid_request",
        Text(
            "The request is not valid: {field}: {problem}.",
            field=first["field"],
            problem=first["problem"],
        ),
        "Correct the named field; there may be more.",
        {"fields": fields},
    )
    return _answer(request, refusal)


def _fields(errors: Sequence[Mapping[str, Any]], body: Any) -> list[dict[str, str]]:
    """Return places of validation errors, as a job file has them, and what is wrong there.

    `input` and `ctx` may hold a password: all that is told of them is a body's kinds, and what
    `faults` knows. Where a field stood in the request is left out: people know it by its name.

    Args:
        errors: at least one.
        body: pydantic's adapter of the body; None where there is none.
    """

    def lies(path: Names) -> Place:
        where, inner = path[:1], path[1:]
        if where != ("body",) or body is None:
            return _of_one(inner) if where[0] in _WHERE and inner else Place(path)
        found = place(body.core_schema, inner)
        return found if found.members else found.within(*where)

    others = [one for one in errors if one["type"] not in _OF_KIND]
    told = [
        {"field": place_of(one.members), "problem": one.problem} for one in faults(others, lies)
    ]
    return [*map(_kind_field, (one for one in errors if one["type"] in _OF_KIND)), *told]


def _of_one(path: Names) -> Place:
    """Return the place of a parameter, which is one value: what follows its name is a form."""
    tried = tuple(Form(one, 1) for one in path[1:] if isinstance(one, str))
    return Place(path[:1], tried) if tried else Place(path)


def _kind_field(error: Mapping[str, Any]) -> dict[str, str]:
    place = [one for one in map(str, error["loc"]) if one not in _WHERE]
    context = error["ctx"]
    named, known = context["discriminator"].strip("'"), context.get("expected_tags")
    problem: str = "it is missing"
    if known:
        problem = Text("one of {known} is needed", known=known)
    elif named == "kind":
        problem = "it is missing: write which kind of job it is, such as kind: training"
    return {"field": place_of((*place, named)), "problem": problem}


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for exactly this
    path = shown(request.url.path)
    known = {
        400: SecureFlowError("malformed_request", "The body cannot be read.", "Send valid JSON."),
        404: SecureFlowError(
            "not_found",
            Text("There is nothing at {path:.200}.", path=path),
            "See /api/v1/openapi.json.",
        ),
        405: SecureFlowError(
            "method_not_allowed",
            Text(
                "The method {method} is not allowed at {path:.200}.",
                method=request.method,
                path=path,
            ),
            "See the Allow header for those that are.",
        ),
        413: SecureFlowError("too_large", "The body is too large.", "Send less at once."),
    }.get(error.status_code)
    if known is None:
        known = SecureFlowError("invalid_request", str(error.detail), "")
    return _answer(request, known, error.headers)


async def _defect(request: Request, error: Exception) -> Response:
    if (fault := exhausted(error, "The centre")) is not None:
        _log.error("request failed", path=request.url.path, code=fault.code)
        return _answer(request, fault)
    _log.error("request failed with an internal error", path=request.url.path, exc_info=error)
    failure = SecureFlowError(
        "internal",
        "The server had an internal error.",
        "Tell the operator the X-Request-Id; the log has the trace.",
    )
    return _answer(request, failure)
