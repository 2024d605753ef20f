"""The second factor of a person at an agent: `kit.totp`, and how its secret lies in the record.

The secret is stored under AES-256-GCM with a key derived from the agent's signing key, bound to the
person's id: the record alone gives no codes.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secureflow.agent.compute.derivation import derive
from secureflow.kit import totp
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

ISSUER: Final = "SecureFlow agent"
"""Whose codes these are, as an authenticator app shows it."""
_NONCE: Final = 12


def new_secret() -> str:
    """Return a fresh secret of 160 bits in base32, as authenticator apps take it."""
    return totp.base32(totp.new_secret())


def address(secret: str, name: str, organisation: str) -> str:
    """Return the `otpauth:` address of a secret, for an authenticator app."""
    return totp.provisioning_uri(base64.b32decode(secret), f"{name}@{organisation}", ISSUER)


def accepted_step(secret: str, code: str, now: int, last: int) -> int | None:
    """Return the time step whose code this is, or None.

    Args:
        secret: base32.
        code: what the person typed.
        now: unix seconds.
        last: the last step whose code was accepted; it and all before are refused.
    """
    return totp.accepted_step(base64.b32decode(secret), totp.plain(code), now, last)


def seal(secret: str, person: str, key: SigningKey) -> str:
    """Return a secret as it is stored for a person."""
    nonce = secrets.token_bytes(_NONCE)
    sealed = AESGCM(_wrapping(key)).encrypt(nonce, secret.encode(), person.encode())
    return base64.b64encode(nonce + sealed).decode()


def unseal(sealed: str, person: str, key: SigningKey) -> str:
    """Return a stored secret.

    Raises:
        SecureFlowError: `second_factor_unreadable`: it was stored under another signing key, or
            changed.
    """
    try:
        data = base64.b64decode(sealed, validate=True)
        plain = AESGCM(_wrapping(key)).decrypt(data[:_NONCE], data[_NONCE:], person.encode())
    except (ValueError, InvalidTag) as error:
        raise SecureFlowError(
            "second_factor_unreadable",
            "The second factor of this account was stored under another signing key, or changed.",
            "Log in with a recovery code, or have an owner-admin reset it: secureflow agent people "
            "reset NAME.",
        ) from error
    return plain.decode()


def stored_codes(codes: Sequence[str]) -> tuple[str, ...]:
    """Return the digests under which recovery codes are stored."""
    return tuple(map(totp.digest, codes))


def _wrapping(key: SigningKey) -> bytes:
    return derive(key.private.private_bytes_raw(), 32, "second factors of people")
