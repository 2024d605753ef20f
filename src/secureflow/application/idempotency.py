"""Requests under an Idempotency-Key whose answers hold a secret, which is never stored.

A caller who did not receive the answer and retries gets a new secret, in the same transaction that
revokes the lost one: no unused secret stays valid or counts against a quota.
"""

from __future__ import annotations

import hashlib

from secureflow.kit.errors import SecureFlowError


def request_of(user: str, key: str) -> str:
    """Return what identifies a user's request under an Idempotency-Key; "" without one."""
    return hashlib.sha256(f"{user}\n{key}".encode()).hexdigest() if key else ""


def conflict() -> SecureFlowError:
    """Return the error for another request under the same key."""
    return SecureFlowError(
        "idempotency_conflict",
        "This Idempotency-Key was used for another request.",
        "Use a new key for each new request.",
    )
