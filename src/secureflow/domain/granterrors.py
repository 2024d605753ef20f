"""The error codes of grants and of what owners stop: part of the catalogue (`domain.errors`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

GRANT_CODES: Final[Mapping[str, str]] = {
    "invalid_grant": "invalid",
    "grant_missing": "forbidden",
    "grant_locked": "conflict",
    "grant_not_locked": "conflict",
    "grant_forged": "untrusted",
    "approval_withdrawn": "forbidden",
    "grant_revoked": "forbidden",
    "project_stopped": "forbidden",
    "requester_blocked": "forbidden",
}
"""Code → the value of its category."""
STOPPING: Final = frozenset(
    {"approval_withdrawn", "grant_revoked", "project_stopped", "requester_blocked"}
)
"""Those with which an owner stops a job: they name the job's end, whatever else failed."""
