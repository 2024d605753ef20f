"""Codes of errors around private keys on disk: wrapped keys, wrapping keys, authorities."""

from __future__ import annotations

from typing import Final

from secureflow.domain.categories import Category

KEY_ERRORS: Final[dict[str, Category]] = {
    "wrapped_key_malformed": Category.CONFLICT,
    "wrapped_key_changed": Category.UNTRUSTED,
    "wrapped_key_swapped": Category.UNTRUSTED,
    "wrapping_key_missing": Category.CONFLICT,
    "wrapping_key_wrong": Category.CONFLICT,
    "wrapping_key_weak": Category.INVALID,
    "wrapping_key_inside": Category.INVALID,
    "wrapping_key_unavailable": Category.UNAVAILABLE,
    "wrapping_key_managed": Category.CONFLICT,
    "ca_moving": Category.CONFLICT,
    "ca_parties_left": Category.CONFLICT,
    "ca_refused": Category.INVALID,
    "enclave_running": Category.CONFLICT,
    "keys_not_wrapped": Category.CONFLICT,
}
