"""An expired link certificate is renewed with the signing key that was enrolled.

A link needs a valid certificate, so an agent whose certificate has expired (it was off for a day, a
clock jumped) cannot ask over its link. It asks the REST address for a challenge and signs it with a
fresh CSR: the identity stays, and no new token is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

from secureflow.kit.canonical import JSON
from secureflow.kit.clock import MAX_SKEW
from secureflow.kit.enrolclient import checked_url, exchange, pinned_context, send
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

CHALLENGE_SECONDS: Final = MAX_SKEW
"""How long a challenge is valid."""
PATIENCE: Final = 5.0
"""Seconds for one exchange: the link waits for it before it redials."""
DOMAIN: Final = "renew"
"""The kind of an agent's signature."""


def renewal_body(agent: str, nonce: str, csr_pem: str) -> dict[str, str]:
    """Return what the enrolled key signs: identity, the server's challenge and the CSR together."""
    return {"agent": agent, "nonce": nonce, "csr": hashlib.sha256(csr_pem.encode()).hexdigest()}


def server_time(server: str, authority: str) -> int | None:
    """Return the time of a server that the pinned authority vouches for; None if unknown.

    Its certificate need not be valid by this machine's clock, which may be the wrong one.
    """
    try:
        context = pinned_context(authority, whenever=True)
        _, _, date = exchange(checked_url(server), "GET", "/healthz", b"", context, PATIENCE)
        return int(parsedate_to_datetime(date).timestamp())
    except (SecureFlowError, ValueError, OverflowError, OSError):
        return None  # no server, no `Date`, or no authority that TLS can read


def renewed(server: str, authority: str, agent: str, csr: str, sign: Callable[[JSON], str]) -> str:
    """Ask for a challenge, answer it, and return the new chain (PEM, not checked yet).

    Raises:
        SecureFlowError: `insecure_url`, `server_unreachable`, `invalid_answer`, or the centre's
            refusal: `certificate_revoked`, `proof_refused`, `rate_limited`.
    """
    context = pinned_context(authority)
    asked = send(server, "/api/v1/renewals/challenge", {"agent": agent}, context, PATIENCE)
    nonce = _text(asked, "nonce")
    proof = sign(renewal_body(agent, nonce, csr))
    request = {"agent": agent, "nonce": nonce, "csr": csr, "signature": proof}
    return _text(send(server, "/api/v1/renewals", request, context, PATIENCE), "certificate")


def _text(answer: dict[str, JSON], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise SecureFlowError(
            "invalid_answer", Text("The centre's answer names no {name}.", name=name)
        )
    return value
