"""Requests under an Idempotency-Key whose answer holds a secret, which is stored nowhere.

Whoever did not hear the answer and asks again gets a new secret, in the same transaction in which
the one that nobody heard of ends: nothing half made is left that works or counts.
"""

from __future__ import annotations

import hashlib

from secureflow.kit.errors import SecureFlowError


def request_of(user: str, key: str) -> str:
    """Return what tells a user's request under an Idempotency-Key; nothing without one."""
    return hashlib.sha256(f"{user}\n{key}".encode()).hexdigest() if key else ""


def conflict() -> SecureFlowError:
    """Return the refusal of another request under the same key."""
    return SecureFlowError(
        "idempotency_conflict",
        "This Idempotency-Key was used for another request.",
        "Use a new key for each new request.",
    )
