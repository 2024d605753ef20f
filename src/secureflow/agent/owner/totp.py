"""Second factor: time-based one-time passwords (RFC 6238: SHA-1, six digits, 30 s) and their loss.

- A code counts once: the time step of the last accepted one is kept, and no step up to it is
  accepted again (RFC 6238, section 5.2). One step before and after the clock's is accepted.
- The secret is stored under AES-256-GCM with a key derived from the agent's signing key, bound to
  the person's id: the record alone gives no codes.
- Ten recovery codes of 80 random bits, stored as SHA-256, each for one login.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secureflow.agent.compute.derivation import derive
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

STEP: Final = 30
"""Seconds of a time step."""
RECOVERY_CODES: Final = 10
_NONCE: Final = 12
_CODE: Final = re.compile(r"[0-9]{6}")
_AROUND: Final = (0, -1, 1)
"""Steps beside the clock's that are accepted: two clocks differ, and people type slowly."""


def new_secret() -> str:
    """Return a fresh secret of 160 bits in base32, as authenticator apps take it."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def address(secret: str, name: str, organisation: str) -> str:
    """Return the `otpauth:` address of a secret, for an authenticator app."""
    import pyotp  # only where a person enrols

    account = f"{name}@{organisation}"
    return str(pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name="SecureFlow agent"))


def accepted_step(secret: str, code: str, now: int, last: int) -> int | None:
    """Return the time step whose code this is, or None.

    Args:
        secret: base32.
        code: what the person typed.
        now: unix seconds.
        last: the last step whose code was accepted; it and all before are refused.
    """
    import pyotp  # only where a code is compared

    typed = code.replace(" ", "")
    if not _CODE.fullmatch(typed):
        return None
    codes = pyotp.TOTP(secret)
    found = None
    for away in _AROUND:
        step = now // STEP + away
        same = step >= 0 and hmac.compare_digest(codes.generate_otp(step), typed)
        if same and step > last:
            found = step
    return found


def seal(secret: str, person: str, key: SigningKey) -> str:
    """Return a secret as it is stored for a person."""
    nonce = secrets.token_bytes(_NONCE)
    sealed = AESGCM(_wrapping(key)).encrypt(nonce, secret.encode(), person.encode())
    return base64.b64encode(nonce + sealed).decode()


def unseal(sealed: str, person: str, key: SigningKey) -> str:
    """Return a stored secret.

    Raises:
        SecureFlowError: `totp_unreadable`: it was stored under another signing key, or changed.
    """
    try:
        data = base64.b64decode(sealed, validate=True)
        plain = AESGCM(_wrapping(key)).decrypt(data[:_NONCE], data[_NONCE:], person.encode())
    except (ValueError, InvalidTag) as error:
        raise SecureFlowError(
            "totp_unreadable",
            "The second factor of this account was stored under another signing key, or changed.",
            "Log in with a recovery code, or have an owner-admin reset it: secureflow agent people "
            "reset NAME.",
        ) from error
    return plain.decode()


def _wrapping(key: SigningKey) -> bytes:
    return derive(key.private.private_bytes_raw(), 32, "second factors of people")


def new_recovery_codes() -> list[str]:
    """Return fresh recovery codes, in base32 groups of four."""
    texts = [base64.b32encode(secrets.token_bytes(10)).decode() for _ in range(RECOVERY_CODES)]
    return ["-".join(text[at : at + 4] for at in range(0, 16, 4)) for text in texts]


def stored_codes(codes: Sequence[str]) -> tuple[str, ...]:
    """Return the digests under which recovery codes are stored."""
    return tuple(_digest(code) for code in codes)


def used_code(stored: Sequence[str], code: str) -> str | None:
    """Return the stored digest of the recovery code that was typed, or None."""
    typed = _digest(code)
    found = None
    for one in stored:
        if hmac.compare_digest(one, typed):
            found = one
    return found


def _digest(code: str) -> str:
    plain = code.replace("-", "").replace(" ", "").upper()
    return hashlib.sha256(plain.encode()).hexdigest()
