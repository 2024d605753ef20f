"""The codes of witnesses, gossip, proofs of fraud, and files of anchors."""

from __future__ import annotations

from typing import Final

from secureflow.domain.categories import Category

WITNESS_ERRORS: Final[dict[str, Category]] = {
    "malformed_submission": Category.INVALID,
    "witness_behind": Category.CONFLICT,
    "witness_no_proof": Category.UNTRUSTED,
    "witness_unknown_log": Category.NOT_FOUND,
    "witness_stopped": Category.UNAVAILABLE,
    "witness_refused": Category.UNTRUSTED,
    "gossip_refused": Category.UNTRUSTED,
    "head_unproved": Category.UNTRUSTED,
    "malformed_fraud": Category.INVALID,
    "fraud_not_proved": Category.UNTRUSTED,
    "endpoint_unreachable": Category.UNAVAILABLE,
    "anchor_not_founded": Category.CONFLICT,
    "anchor_file_damaged": Category.CONFLICT,
    "anchor_file_set_back": Category.CONFLICT,
    "anchor_file_restored": Category.CONFLICT,
    "anchor_file_full": Category.CONFLICT,
}
