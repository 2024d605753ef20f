"""Categories of errors: what kind of failure a code is."""

from __future__ import annotations

from enum import StrEnum


class Category(StrEnum):
    """What kind of failure a code is."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    UNTRUSTED = "untrusted"
    FAILED = "failed"
    INTERNAL = "internal"
