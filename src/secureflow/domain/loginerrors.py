"""Codes of errors around logins of programs: scopes, refresh, the device flow, second factors."""

from __future__ import annotations

from typing import Final

from secureflow.domain.categories import Category

LOGIN_ERRORS: Final[dict[str, Category]] = {
    "second_factor_required": Category.UNAUTHENTICATED,
    "second_factor_missing": Category.FORBIDDEN,
    "proof_required": Category.FORBIDDEN,
    "scope_too_narrow": Category.FORBIDDEN,
    "refresh_ended": Category.UNAUTHENTICATED,
    "authorization_pending": Category.CONFLICT,
    "slow_down": Category.RATE_LIMITED,
    "access_denied": Category.FORBIDDEN,
    "device_code_expired": Category.UNAUTHENTICATED,
    "second_factor_unreadable": Category.CONFLICT,
}
