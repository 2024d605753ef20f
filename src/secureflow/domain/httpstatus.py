"""The HTTP status of each error code (RFC 9110, 15), for everything that answers over HTTP."""

from __future__ import annotations

from typing import Final

from secureflow.domain.errors import Category, category

_STATUS: Final = {
    Category.INVALID: 422,
    Category.UNAUTHENTICATED: 401,
    Category.FORBIDDEN: 403,
    Category.NOT_FOUND: 404,
    Category.CONFLICT: 409,
    Category.TOO_LARGE: 413,
    Category.RATE_LIMITED: 429,
    Category.UNAVAILABLE: 503,
    Category.UNTRUSTED: 403,
    Category.FAILED: 422,
    Category.INTERNAL: 500,
}
_BY_CODE: Final = {
    "malformed_json": 400,
    "malformed_request": 400,
    "method_not_allowed": 405,
    "not_json": 415,
    "record_damaged": 500,
}


def status_of(code: str) -> int:
    """Return the HTTP status of an error code."""
    return _BY_CODE.get(code) or _STATUS[category(code)]
