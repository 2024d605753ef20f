"""Browser sessions: how a person stays logged in without a token that scripts could read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Session:
    """A browser that somebody logged in with: only the SHA-256 of its secret is stored.

    Times in unix seconds; `used` is at most a minute behind.

    Args:
        expires: when it ends if it is not used again.
        ends: when it ends at the latest.
        method: how its owner logged in, such as `password`.
        address: from where, for its owner's own list.
        proven: when its owner last proved who they are (`application.proofs`); 0: never.
    """

    id: str
    user: str
    digest: str
    created: int
    used: int
    expires: int
    ends: int
    method: str = ""
    address: str = ""
    proven: int = 0
