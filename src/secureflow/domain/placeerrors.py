"""The codes of places at which agents anchor, as their owners and readers meet them."""

from __future__ import annotations

from typing import Final

from secureflow.domain.categories import Category

PLACES: Final[dict[str, Category]] = {
    "anchor_unknown": Category.NOT_FOUND,
    "anchor_head_forged": Category.UNTRUSTED,
    "anchor_receipt_false": Category.UNTRUSTED,
    "anchor_late": Category.UNAVAILABLE,
    "malformed_anchor": Category.INVALID,
}
