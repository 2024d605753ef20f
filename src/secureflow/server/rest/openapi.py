"""The API description: adds what FastAPI cannot know, in one place.

Every operation may answer with a problem; changes on routes that keep answers take an idempotency
key; a handler without a caller is open to everyone.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from secureflow.server.rest.problems import MEDIA_TYPE, Problem

_METHODS: Final = frozenset({"get", "post", "patch", "delete", "put"})
_SECRET_TAGS: Final = frozenset({"session", "enrolment", "health", "webhook-secrets"})
_KEPT_TOO: Final = frozenset({"delete_token", "delete_session", "delete_other_sessions"})
_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A random string that makes it safe to repeat this request",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
}
_LOGGING_IN: Final = {
    "login": "Name, password and code do not fit together",
    "open_session": "Name, password and code do not fit together",
    "refresh_login": "The login has ended",
    "poll_device": "The code has expired, or its login was fetched",
}
_FORBIDDING: Final = {
    "open_session": "The request comes from a page of another site",
    "poll_device": "A person denied it",
}
_ALWAYS: Final = {
    "400": "The request cannot be read",
    "422": "The request is not valid or contradicts itself",
    "429": "Too many requests",
}
_CALLED: Final = {
    "401": "No valid token or session",
    "403": "The caller's roles, or the owner's grants, do not allow it",
    "404": "Not found, or not visible to the caller",
}
_AT_PROVIDERS: Final = frozenset({"start_oidc", "finish_oidc", "link_oidc"})
_AT_PROVIDER: Final = {
    "401": "No login of this browser, or no valid token or session",
    "403": "What the provider says, or the person, is refused",
    "404": "There is no such provider",
    "409": "The identity has another account, or the account has changed",
    "503": "The provider does not answer",
}
_WRITING: Final = {
    "409": "The request conflicts with the present state",
    "413": "The body is too large",
}


def describe(app: FastAPI) -> None:
    """Complete the app's description."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _described(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        routes=app.routes,
        separate_input_output_schemas=app.separate_input_output_schemas,
    )
    schemas = schema["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = Problem.model_json_schema()
    for path in schema["paths"].values():
        for method, operation in path.items():
            if method in _METHODS:
                _complete(method, operation)
    return schema


def _complete(method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    common = dict(_ALWAYS)
    if "security" in operation or "enrolment" in operation.get("tags", ()):
        common |= _CALLED
    if operation["operationId"] in _LOGGING_IN:
        common["401"] = _LOGGING_IN[operation["operationId"]]
    if operation["operationId"] in _FORBIDDING:
        common["403"] = _FORBIDDING[operation["operationId"]]
    if operation["operationId"] == "get_metrics":
        common["401"] = "Neither from this machine nor with a valid token for metrics"
    if operation["operationId"] in _AT_PROVIDERS:
        common |= _AT_PROVIDER
    if method != "get" or "report" in operation["operationId"]:
        common |= _WRITING
    for status, description in common.items():
        content = {MEDIA_TYPE: {"schema": _PROBLEM}}
        responses[status] = {"description": description, "content": content}
    kept = not _SECRET_TAGS & set(operation.get("tags", ()))
    if method != "get" and (kept or operation["operationId"] in _KEPT_TOO):
        operation.setdefault("parameters", []).append(_KEY)
