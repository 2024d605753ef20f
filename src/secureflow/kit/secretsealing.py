"""Secrets that a process must be able to read again, sealed for its database (AES-256-GCM).

The key comes from the process's signing key by a signature that is never shown (Ed25519 signatures
are deterministic, RFC 8032) and HKDF (RFC 5869): so the database alone opens nothing, nothing
else has to be kept, and a signing key in a hardware module works too. What a secret belongs to is
authenticated with it: a sealed secret moved to another place does not open.
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

_KIND = "secret-sealing"
_NONCE_BYTES = 12


class SecretSealer:
    """Seals short texts under a key of its own purpose."""

    def __init__(self, key: SigningKey, purpose: str) -> None:
        material = b64decode(key.sign(_KIND, {"purpose": purpose}))
        derive = HKDF(SHA256(), 32, salt=None, info=f"secureflow/{_KIND}/{purpose}".encode())
        self._cipher = AESGCM(derive.derive(material))

    def seal(self, secret: str, belongs: str) -> str:
        """Return the sealed secret, in base64; `belongs` is needed to open it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret.encode(), belongs.encode())
        return b64encode(nonce + sealed)

    def open(self, sealed: str, belongs: str) -> str:
        """Return the secret.

        Raises:
            SecureFlowError: `key_unreadable`.
        """
        try:
            data = b64decode(sealed)
            opened = self._cipher.decrypt(
                data[:_NONCE_BYTES], data[_NONCE_BYTES:], belongs.encode()
            )
            return opened.decode()
        except (InvalidTag, ValueError, SecureFlowError) as error:
            raise SecureFlowError(
                "key_unreadable",
                "A sealed secret does not open: it was sealed under another key, or was changed.",
                "Make a new one in its place.",
            ) from error
