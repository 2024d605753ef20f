"""The error codes of anchors: part of the catalogue (`domain.errors`)."""

from __future__ import annotations

from typing import Final

from secureflow.domain.categories import Category

ANCHOR_ERRORS: Final[dict[str, Category]] = {
    "malformed_entry": Category.INVALID,
    "anchor_unavailable": Category.UNAVAILABLE,
    "anchor_refused": Category.CONFLICT,
}
