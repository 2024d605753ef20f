"""HPKE recipients: content keys sealed to a key that an attestation verdict vouches for.

RFC 9180 base mode with the hybrid KEM MLKEM768_X25519, HKDF-SHA256 and AES-256-GCM. Base mode
authenticates no sender, so the sender must sign as well. `info` binds a key to its one use.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from secureflow.engines.sealing.stream import KEY
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.errors import SecureFlowError

_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MLKEM_PUBLIC: Final = 1184
_PUBLIC: Final = _MLKEM_PUBLIC + 32
SEALED_KEY: Final = 1088 + 32 + KEY + 16
"""Bytes of a sealed content key: both encapsulations, the key, its tag."""


class RecipientKey:
    """A hybrid HPKE private key that exists only in memory."""

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> None:
        self._private = MLKEM768X25519PrivateKey(mlkem, x25519)
        public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        self.public = b64encode(public)
        """Base64 of the ML-KEM-768 key (1184 bytes) followed by the X25519 key (32 bytes)."""

    @classmethod
    def generate(cls) -> RecipientKey:
        """Generate a new key."""
        return cls(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    def open_key(self, sealed: str, info: bytes) -> bytes:
        """Return the content key that was sealed to this key for this use.

        Args:
            sealed: base64 of encapsulation and ciphertext.
            info: 32 bytes that identify the use.

        Raises:
            SecureFlowError: `sealed_key_refused`.
        """
        try:
            data = b64decode(sealed, 4 * SEALED_KEY)
            if len(data) != SEALED_KEY:
                raise ValueError(len(data))
            return _SUITE.decrypt(data, self._private, info)
        except (InvalidTag, ValueError, SecureFlowError) as error:
            raise SecureFlowError(
                "sealed_key_refused",
                "The content key was not sealed to this recipient for this use.",
                "Fetch the recipient's current evidence and seal again.",
            ) from error


def new_content_key() -> bytes:
    """Return a fresh 32-byte key for one message."""
    return os.urandom(KEY)


def seal_key(content_key: bytes, recipient: str, info: bytes) -> str:
    """Return the base64 content key sealed to the recipient's base64 public key for one use.

    Raises:
        SecureFlowError: `malformed_key`.
    """
    return b64encode(_SUITE.encrypt(content_key, parse_recipient(recipient), info))


def parse_recipient(public: str) -> MLKEM768X25519PublicKey:
    """Parse a base64 recipient key.

    Raises:
        SecureFlowError: `malformed_key`.
    """
    try:
        data = b64decode(public, 4 * _PUBLIC)
        if len(data) != _PUBLIC:
            raise ValueError(len(data))
        return MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(data[:_MLKEM_PUBLIC]),
            X25519PublicKey.from_public_bytes(data[_MLKEM_PUBLIC:]),
        )
    except (ValueError, SecureFlowError) as error:
        raise SecureFlowError(
            "malformed_key", "The HPKE recipient key is malformed.", "Ask for fresh evidence."
        ) from error
