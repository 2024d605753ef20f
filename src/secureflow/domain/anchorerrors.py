"""Codes of errors around anchors: the places that others than the operator keep."""

from __future__ import annotations

from typing import Final

from secureflow.domain.categories import Category

ANCHOR_ERRORS: Final[dict[str, Category]] = {
    "malformed_entry": Category.INVALID,
    "anchor_unavailable": Category.UNAVAILABLE,
    "anchor_refused": Category.CONFLICT,
    "anchor_untrusted": Category.UNTRUSTED,
    "anchor_key_shared": Category.CONFLICT,
    "chain_unavailable": Category.UNAVAILABLE,
}
