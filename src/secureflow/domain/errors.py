"""The error catalogue: every code, and its category.

A category is what edges map: `server/rest` to an HTTP status, `server/rpc` to a gRPC status, `cli`
to an exit code. HTTP numbers never stand here.
"""

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


CATALOGUE: dict[str, Category] = {
    "not_found": Category.NOT_FOUND,
    "invalid_spec": Category.INVALID,
    "invalid_request": Category.INVALID,
    "contradictory_spec": Category.INVALID,
    "malformed_json": Category.INVALID,
    "not_canonical": Category.INVALID,
    "malformed_base64": Category.INVALID,
    "malformed_key": Category.INVALID,
    "illegal_transition": Category.CONFLICT,
    "already_exists": Category.CONFLICT,
    "stale_version": Category.CONFLICT,
    "unauthenticated": Category.UNAUTHENTICATED,
    "forbidden": Category.FORBIDDEN,
    "too_large": Category.TOO_LARGE,
    "rate_limited": Category.RATE_LIMITED,
    "too_few_answers": Category.FAILED,
    "party_silent": Category.UNAVAILABLE,
    "cancelled": Category.CONFLICT,
    "script_changed": Category.INTERNAL,
    "unknown_category": Category.INVALID,
    "malformed_cell": Category.INVALID,
    "missing_column": Category.INVALID,
    "missing_label": Category.INVALID,
    "malformed_label": Category.INVALID,
    "invalid_moments": Category.INVALID,
    "training_diverged": Category.FAILED,
    "unknown_column": Category.INVALID,
    "contradictory_schema": Category.INVALID,
    "schema_mismatch": Category.INVALID,
    "dataset_unreadable": Category.FAILED,
    "dataset_too_large": Category.TOO_LARGE,
    "invalid_model": Category.INVALID,
    "model_digest_mismatch": Category.UNTRUSTED,
    "missing_extra": Category.FAILED,
    "worker_died": Category.FAILED,
    "worker_failed": Category.INTERNAL,
    "job_not_prepared": Category.CONFLICT,
    "invalid_dataset": Category.INVALID,
    "worker_out_of_memory": Category.FAILED,
    "unavailable": Category.UNAVAILABLE,
    "server_untrusted": Category.UNTRUSTED,
    "digest_mismatch": Category.UNTRUSTED,
    "dataset_changed": Category.CONFLICT,
    "missing_data": Category.INVALID,
    "missing_moments": Category.INVALID,
    "empty_dataset": Category.INVALID,
    "invalid_rows": Category.INVALID,
    "bad_credentials": Category.UNAUTHENTICATED,
    "token_expired": Category.UNAUTHENTICATED,
    "token_refused": Category.UNAUTHENTICATED,
    "token_malformed": Category.INVALID,
    "proof_refused": Category.UNTRUSTED,
    "signature_refused": Category.UNTRUSTED,
    "csr_malformed": Category.INVALID,
    "csr_forged": Category.INVALID,
    "csr_key_refused": Category.INVALID,
    "spiffe_malformed": Category.INVALID,
    "spiffe_foreign": Category.UNTRUSTED,
    "certificate_revoked": Category.UNAUTHENTICATED,
    "weak_password": Category.INVALID,
    "last_administrator": Category.CONFLICT,
    "not_a_member": Category.FORBIDDEN,
    "project_closed": Category.CONFLICT,
    "not_enrolled": Category.CONFLICT,
    "charter_missing": Category.CONFLICT,
    "charter_mismatch": Category.CONFLICT,
    "charter_not_signed": Category.CONFLICT,
    "column_not_granted": Category.FORBIDDEN,
    "too_many_jobs": Category.CONFLICT,
    "already_finished": Category.CONFLICT,
    "not_finished": Category.CONFLICT,
    "no_report": Category.CONFLICT,
    "idempotency_conflict": Category.CONFLICT,
    "method_not_allowed": Category.INVALID,
    "fenced": Category.CONFLICT,
    "invalid_url": Category.INVALID,
    "invalid_ca": Category.INVALID,
    "invalid_answer": Category.INTERNAL,
    "invalid_profile": Category.INVALID,
    "invalid_file": Category.INVALID,
    "malformed_event": Category.INTERNAL,
    "not_confirmed": Category.INVALID,
    "clock_skew": Category.UNAVAILABLE,
    "version_mismatch": Category.UNAVAILABLE,
    "head_refused": Category.UNTRUSTED,
    "ledger_inconsistent": Category.UNTRUSTED,
    "audit_failed": Category.UNTRUSTED,
    "charter_refused": Category.UNTRUSTED,
    "job_failed": Category.FAILED,
    "ca_exists": Category.CONFLICT,
    "ca_unreadable": Category.FAILED,
    "ca_mismatch": Category.UNTRUSTED,
    "certificate_malformed": Category.INVALID,
    "certificate_not_valid_now": Category.UNAUTHENTICATED,
    "san_refused": Category.INVALID,
    "leaf_life_too_long": Category.INVALID,
    "vote_malformed": Category.INVALID,
    "vote_already_cast": Category.CONFLICT,
    "vote_other_context": Category.UNTRUSTED,
    "voted_dead": Category.CONFLICT,
    "survivors_unknown": Category.UNTRUSTED,
    "dead_inconsistent": Category.UNTRUSTED,
    "survivors_too_few": Category.FAILED,
    "certificate_forged": Category.UNTRUSTED,
    "certificate_short": Category.UNTRUSTED,
    "certificate_mixed": Category.UNTRUSTED,
    "manifest_malformed": Category.INVALID,
    "manifest_mismatch": Category.INVALID,
    "header_malformed": Category.INVALID,
    "trailer_malformed": Category.INVALID,
    "stale_round": Category.CONFLICT,
    "update_unexpected": Category.CONFLICT,
    "update_length_wrong": Category.INVALID,
    "update_unfinished": Category.CONFLICT,
    "update_changed": Category.CONFLICT,
    "update_aborted": Category.CONFLICT,
    "update_forged": Category.UNTRUSTED,
    "update_shape_wrong": Category.INVALID,
    "update_not_finite": Category.INVALID,
    "weight_out_of_bounds": Category.INVALID,
    "norm_exceeded": Category.INVALID,
    "value_out_of_bounds": Category.INVALID,
    "resume_beyond": Category.CONFLICT,
    "chunk_unexpected": Category.INVALID,
    "chunk_length_wrong": Category.INVALID,
    "chunk_forged": Category.UNTRUSTED,
    "stream_short": Category.INVALID,
    "sealed_key_refused": Category.UNTRUSTED,
    "buffer_too_small": Category.INTERNAL,
    "buffer_foreign": Category.INTERNAL,
    "fold_impossible": Category.INVALID,
    "nothing_folded": Category.CONFLICT,
    "model_not_finite": Category.FAILED,
    "release_malformed": Category.INVALID,
    "unreleased_model": Category.UNTRUSTED,
    "evidence_malformed": Category.INVALID,
    "evidence_not_authentic": Category.UNTRUSTED,
    "evidence_not_fresh": Category.UNTRUSTED,
    "evidence_not_bound": Category.UNTRUSTED,
    "evidence_not_acceptable": Category.UNTRUSTED,
    "attestation_expired": Category.UNTRUSTED,
    "policy_malformed": Category.INVALID,
    "simulated_root_refused": Category.INVALID,
    "simulated_platform_exists": Category.CONFLICT,
    "simulated_platform_unreadable": Category.FAILED,
    "agent_not_running": Category.UNAVAILABLE,
    "agent_silent": Category.UNAVAILABLE,
    "internal": Category.INTERNAL,
}


def category(code: str) -> Category:
    """Return the code's category; an unknown code is `failed`, an `invalid_…` one `invalid`."""
    if code in CATALOGUE:
        return CATALOGUE[code]
    if code.startswith(("invalid_", "malformed_", "unknown_", "missing_")):
        return Category.INVALID
    return Category.FAILED
