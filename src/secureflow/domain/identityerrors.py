"""The part of the error catalogue about logins at identity providers."""

from __future__ import annotations

from typing import Final

from secureflow.domain.categories import Category

IDENTITY_ERRORS: Final[dict[str, Category]] = {
    "invalid_next": Category.INVALID,
    "login_not_pending": Category.UNAUTHENTICATED,
    "login_denied": Category.FORBIDDEN,
    "identity_refused": Category.FORBIDDEN,
    "identity_taken": Category.CONFLICT,
    "provider_unreachable": Category.UNAVAILABLE,
    "provider_untrusted": Category.UNTRUSTED,
    "id_token_refused": Category.UNTRUSTED,
}
