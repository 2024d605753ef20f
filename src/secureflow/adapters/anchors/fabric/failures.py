"""What a failure of the gateway means for whoever anchors: try again later, or change something."""

from __future__ import annotations

from typing import Final

from secureflow.adapters.anchors.fabric.process import GatewayFailure
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.text import Text

_REFUSING: Final = {
    "PERMISSION_DENIED": "the channel does not admit this certificate",
    "UNAUTHENTICATED": "the channel does not admit this certificate",
    "INVALID_ARGUMENT": "the request is not what it takes",
    "UNIMPLEMENTED": "it has no gateway service (Fabric 2.4 and later have one)",
    "identity": "certificate and key do not fit together",
    "swapped": "the peer returned another transaction for signing than the one proposed",
    "malformed": "the peer returned what is no block of this channel",
    "too_large": "the peer returned more than is read of it",
    "request": "the gateway process did not understand the request",
}
"""Nothing changes by trying again."""
_REASONS: Final = {
    "stranger": "the account of this certificate is no member of the place",
    "clock": "the clocks of this machine and of the peer are more than five minutes apart",
    "malformed": "the chaincode does not read these entries",
    "no_function": "the chaincode does not have this function",
    "begun": "the place has its members already",
    "not_bound": "an account is not signed by its member's charter key",
    "in_use": "a member or an account is named twice",
}
"""Words of the chaincode with which it refuses a whole transaction."""
_LATER: Final = frozenset({"clock"})
_DENIED: Final = "access denied"
"""A peer says so of signature, certificate and policy, under whatever code."""
_UNTRUSTED: Final = ("certificate_verify_failed", "certificate verify failed")
_LOOK: Final = "secureflow agent anchor doctor shows what is wrong."


def error_of(failure: GatewayFailure, place: str) -> SecureFlowError:
    """Return the port's error for a failure of the gateway."""
    reason = _REASONS.get(failure.reason)
    if reason is not None:
        return _later(place, reason) if failure.reason in _LATER else refused(place, reason)
    if any(one in failure.words.lower() for one in _UNTRUSTED):
        return refused(place, "its TLS certificate is not of the CA that is pinned")
    if _DENIED in failure.words.lower():
        return refused(place, _REFUSING["PERMISSION_DENIED"], failure.words)
    if (reason := _REFUSING.get(failure.status)) is not None:
        return refused(place, reason, failure.words)
    return _later(place, failure.words or failure.status)


def refused(place: str, reason: str, words: str = "") -> SecureFlowError:
    """Return `anchor_refused`."""
    told = Text("{place} refuses: {reason}.", place=place, reason=reason)
    return SecureFlowError("anchor_refused", told, _LOOK, {"words": words} if words else None)


def _later(place: str, reason: str) -> SecureFlowError:
    told = Text("{place} cannot be reached: {reason}.", place=place, reason=reason)
    return InfrastructureError("anchor_unavailable", told, _LOOK)
