"""The signature of a webhook's request: both sides.

    SecureFlow-Delivery: dlv_01jf2k…
    SecureFlow-Signature: t=1800000000,v1=<hex of HMAC-SHA256(secret, "t.id.body")>

`t` is the time of this try in unix seconds, `id` the delivery's id, which stays the same in every
try: a receiver that remembers ids for longer than the window accepts each delivery once. A request
is refused when its time is more than five minutes from the receiver's, so nobody can replay it
later (HMAC: RFC 2104; the form follows what payment services have used for years).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

SIGNATURE_HEADER: Final = "SecureFlow-Signature"
DELIVERY_HEADER: Final = "SecureFlow-Delivery"
WINDOW_SECONDS: Final = 300
_HEADER: Final = re.compile(r"t=([0-9]{1,15}),v1=([0-9a-f]{64})")
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,64}")


def sign_webhook(secret: str, delivery: str, body: bytes, now: int) -> str:
    """Return the value of `SecureFlow-Signature`."""
    return f"t={now},v1={_mac(secret, delivery, body, now)}"


def verify_webhook(
    secret: str,
    delivery: str,
    signature: str,
    body: bytes,
    now: int,
    window: int = WINDOW_SECONDS,
) -> None:
    """Accept a request that a webhook of SecureFlow sent, and nothing else.

    Args:
        secret: as shown when the webhook was created.
        delivery: the header `SecureFlow-Delivery`.
        signature: the header `SecureFlow-Signature`.
        body: the request's body, byte by byte as received.
        now: the receiver's time, in unix seconds.
        window: how far the times may be apart, in seconds.

    Raises:
        SecureFlowError: `signature_refused`.
    """
    found = _HEADER.fullmatch(signature)
    if found is None or not _ID.fullmatch(delivery):
        raise _refused("its headers are malformed")
    at = int(found[1])
    if not hmac.compare_digest(_mac(secret, delivery, body, at), found[2]):
        raise _refused("the signature is not one of this secret over this body")
    if abs(now - at) > window:
        raise _refused("it is older than the window, or the clocks differ")


def _mac(secret: str, delivery: str, body: bytes, at: int) -> str:
    message = f"{at}.{delivery}.".encode() + body
    return hmac.digest(secret.encode(), message, hashlib.sha256).hex()


def _refused(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "signature_refused",
        Text("This is not an authentic request of the webhook: {reason}.", reason=reason),
        "Answer with 4xx and do nothing else; check the secret and this machine's clock.",
    )
