"""Ed25519 signing keys and the one signature format.

Every signature except C2SP cosignatures covers
`"secureflow/v1" ‖ 0x0A ‖ kind ‖ 0x0A ‖ SHA-256(JCS(body))` (docs/threat-model.md, "Identity").
The kind separates domains: an approval can never be read as a vote.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from secureflow.kit.canonical import b64decode, b64encode, canonical_bytes
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyfiles import SIGNING, KeyFiles, plain_keys
from secureflow.kit.text import Text

_PREFIX = b"secureflow/v1\n"


def signed_message(kind: str, body: Any) -> bytes:
    """Return the exact bytes that a signature of this kind over this JSON body covers."""
    return _PREFIX + kind.encode("ascii") + b"\n" + hashlib.sha256(canonical_bytes(body)).digest()


class SigningKey:
    """An Ed25519 private key that signs canonical JSON bodies."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def generate(cls) -> SigningKey:
        """Generate a key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """Rebuild a key from its 32 raw bytes."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def load(cls, path: Path, files: KeyFiles | None = None, purpose: str = SIGNING) -> SigningKey:
        """Read a key written by `save`.

        Args:
            path: its file.
            files: unwraps it; by default only plain keys can be read.
            purpose: of the key, as it was saved for.

        Raises:
            KeyVaultError: it is wrapped and cannot be unwrapped.
            SecureFlowError: `key_exposed` if others can read it, `key_unreadable` if it does not
                hold a key.
            OSError: it cannot be read.
        """
        return cls.from_text((files or plain_keys()).read(path, purpose), str(path))

    @classmethod
    def from_text(cls, data: bytes, place: str) -> SigningKey:
        """Rebuild a key from what `save` wrote; `place` is named in the error.

        Raises:
            SecureFlowError: `key_unreadable`.
        """
        try:
            return cls.from_seed(b64decode(data.decode("ascii").strip()))
        except (ValueError, SecureFlowError) as error:
            raise SecureFlowError(
                "key_unreadable",
                Text("{place} does not hold a signing key.", place=place),
                "Restore the key from a backup.",
            ) from error

    def save(self, path: Path, files: KeyFiles | None = None, purpose: str = SIGNING) -> None:
        """Write the seed as base64 with mode 0600; an existing file is never overwritten.

        Args:
            path: its file.
            files: wraps it as configured; by default it is written as it is.
            purpose: of the key.
        """
        text = (b64encode(self._private.private_bytes_raw()) + "\n").encode("ascii")
        (files or plain_keys()).write_new(path, text, purpose, fingerprint(self.public))

    @property
    def private(self) -> Ed25519PrivateKey:
        """The underlying key, for formats with their own message (C2SP notes)."""
        return self._private

    @property
    def public(self) -> str:
        """The public key as base64 of its 32 raw bytes."""
        return b64encode(self._private.public_key().public_bytes_raw())

    def sign(self, kind: str, body: Any) -> str:
        """Return the base64 signature of this kind over the JSON body."""
        return b64encode(self._private.sign(signed_message(kind, body)))


def public_key(text: str) -> Ed25519PublicKey:
    """Parse a base64 Ed25519 public key.

    Raises:
        SecureFlowError: `malformed_key`.
    """
    try:
        return Ed25519PublicKey.from_public_bytes(b64decode(text, 64))
    except (ValueError, SecureFlowError) as error:
        raise SecureFlowError("malformed_key", "The Ed25519 public key is malformed.") from error


def fingerprint(public: str) -> str:
    """Return the hex SHA-256 of a base64 public key's raw bytes."""
    return hashlib.sha256(b64decode(public, 64)).hexdigest()


def verify(public: str, kind: str, body: Any, signature: str) -> bool:
    """Tell whether the base64 signature of this kind over the JSON body holds under the key."""
    try:
        return holds(public, signed_message(kind, body), signature)
    except SecureFlowError:  # a body without a canonical form was never signed
        return False


def holds(public: str, message: bytes, signature: str) -> bool:
    """Tell whether the base64 signature over a `signed_message` holds under the key.

    For many signatures over one body, which is serialised and hashed only once.
    """
    try:
        public_key(public).verify(b64decode(signature, 128), message)
    except (InvalidSignature, SecureFlowError):
        return False
    return True
