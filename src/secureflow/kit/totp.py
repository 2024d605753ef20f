"""Time-based one-time passwords (RFC 6238: SHA-1, six digits, 30 s) and recovery codes.

A code counts once: whoever keeps the time step of the last accepted code passes it here, and no
step up to it is accepted again (RFC 6238, section 5.2). One step before and after the clock's is
accepted: clocks differ, and people type slowly.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

STEP: Final = 30
"""Seconds of a time step."""
DIGITS: Final = 6
SECRET_BYTES: Final = 20
RECOVERY_CODES: Final = 10
MAX_TYPED: Final = 64
"""Characters of a typed code that are looked at."""
_CODE: Final = re.compile(r"[0-9]{6}")
_RECOVERY: Final = re.compile(r"[A-Z2-7]{16}")


def new_secret() -> bytes:
    """Return a fresh secret of 160 bits."""
    return secrets.token_bytes(SECRET_BYTES)


def base32(secret: bytes) -> str:
    """Return a secret as people type it into an authenticator app."""
    return base64.b32encode(secret).decode("ascii")


def provisioning_uri(secret: bytes, account: str, issuer: str) -> str:
    """Return the `otpauth:` address of a secret, for an authenticator app."""
    return _totp(secret).get_provisioning_uri(account, issuer)


def plain(typed: str) -> str:
    """Return a typed code without the spaces and dashes that it may be grouped by."""
    return re.sub(r"[\s-]", "", typed[:MAX_TYPED]).upper()


def is_recovery(code: str) -> bool:
    """Tell whether a plain code has the form of a recovery code."""
    return _RECOVERY.fullmatch(code) is not None


def accepted_step(secret: bytes, code: str, now: int, last: int) -> int | None:
    """Return the time step whose code this is, or None.

    Args:
        secret: 20 bytes.
        code: as `plain` returned it.
        now: unix seconds.
        last: the last step whose code was accepted.
    """
    if not _CODE.fullmatch(code):
        return None
    totp, found = _totp(secret), None
    for away in (-1, 0, 1):
        step = now // STEP + away
        made = totp.generate(max(0, step) * STEP)
        if hmac.compare_digest(made, code.encode()) and step > last:
            found = step
    return found


def code_at(secret: bytes, now: int) -> str:
    """Return the code of a secret at a time, as an authenticator app shows it."""
    return _totp(secret).generate(now).decode("ascii")


def new_recovery_codes() -> list[str]:
    """Return fresh recovery codes of 80 bits, in groups of four characters."""
    texts = [base32(secrets.token_bytes(10)) for _ in range(RECOVERY_CODES)]
    return ["-".join(text[at : at + 4] for at in range(0, 16, 4)) for text in texts]


def digest(recovery: str) -> str:
    """Return the digest under which a recovery code is stored: 80 random bits need no salt."""
    return hashlib.sha256(plain(recovery).encode()).hexdigest()


def matching(stored: Sequence[str], recovery: str) -> str | None:
    """Return the stored digest of the recovery code that was typed, or None."""
    typed, found = digest(recovery), None
    for one in stored:
        if hmac.compare_digest(one, typed):
            found = one
    return found


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP)  # noqa: S303  RFC 6238's, what every app speaks
