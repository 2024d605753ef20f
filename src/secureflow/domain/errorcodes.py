"""The codes of enclaves, of code that others bring, engines and channels.

`domain.errors` is the whole catalogue.
"""

from __future__ import annotations

from typing import Final

from secureflow.domain.categories import Category

ENCLAVES: Final[dict[str, Category]] = {
    "model_missing": Category.CONFLICT,
    "evidence_unknown": Category.UNTRUSTED,
    "model_conflict": Category.CONFLICT,
    "already_released": Category.UNTRUSTED,
    "no_tee": Category.INVALID,
    "code_unmeasurable": Category.INVALID,
    "code_changed": Category.UNTRUSTED,
    "module_not_measured": Category.UNTRUSTED,
    "model_mismatch": Category.UNTRUSTED,
    "protection_unsupported": Category.INVALID,
    "approvals_missing": Category.UNTRUSTED,
    "party_not_in_roster": Category.UNTRUSTED,
    "approval_mismatch": Category.UNTRUSTED,
    "approval_forged": Category.UNTRUSTED,
    "party_not_approved": Category.UNTRUSTED,
    "recipient_forged": Category.UNTRUSTED,
    "delivery_forged": Category.UNTRUSTED,
    "file_changed": Category.CONFLICT,
    "party_not_expected": Category.CONFLICT,
    "already_uploaded": Category.CONFLICT,
    "round_frozen": Category.CONFLICT,
    "certificate_mismatch": Category.UNTRUSTED,
    "contributors_too_few": Category.FORBIDDEN,
    "survivors_mismatch": Category.UNTRUSTED,
    "malformed_offer": Category.INVALID,
    "sender_mismatch": Category.UNTRUSTED,
    "offer_missing": Category.CONFLICT,
    "resume_mismatch": Category.CONFLICT,
    "upload_superseded": Category.CONFLICT,
    "upload_stalled": Category.UNAVAILABLE,
    "job_not_open": Category.CONFLICT,
}
"""Codes of enclaves: evidence, what is opened to them, and what they release."""

PROGRAMS: Final[dict[str, Category]] = {
    "bundle_refused": Category.INVALID,
    "bundle_unusable": Category.INVALID,
    "needs_bundle": Category.INVALID,
    "environment_failed": Category.FAILED,
    "environment_broken": Category.UNTRUSTED,
    "environment_unknown": Category.NOT_FOUND,
    "environment_busy": Category.CONFLICT,
    "malformed_lock": Category.INVALID,
    "attempt_lost": Category.UNAVAILABLE,
    "attempts_exhausted": Category.FAILED,
    **dict.fromkeys(("peer_offer_forged", "peer_result_malformed"), Category.UNTRUSTED),
    "peer_offer_stale": Category.CONFLICT,
    "intersection_too_small": Category.FORBIDDEN,
    "keys_too_many": Category.TOO_LARGE,
    "engine_absent": Category.CONFLICT,
    "engine_unconfined": Category.FAILED,
    "engine_unknown": Category.NOT_FOUND,
    "engine_broken": Category.UNTRUSTED,
    "program_unknown": Category.NOT_FOUND,
    "program_mismatch": Category.CONFLICT,
    "protocol_refused": Category.INVALID,
    "parties_wrong": Category.INVALID,
    **dict.fromkeys(
        (
            *("engine_failed", "engine_silent", "engine_out_of_memory", "engine_output_refused"),
            *("bundle_failed", "bundle_died", "bundle_silent", "bundle_output_refused"),
            "peer_limit",
        ),
        Category.FAILED,
    ),
    **dict.fromkeys(("peer_absent", "peer_away", "peer_broken", "peer_left"), Category.UNAVAILABLE),
    "peer_closed": Category.CONFLICT,
    "peer_statement_wrong": Category.UNTRUSTED,
    "peer_statements_contradict": Category.UNTRUSTED,
}
"""Codes of bundles and their environments, of engines, and of channels between agents."""
