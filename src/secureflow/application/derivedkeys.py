"""Keys for single purposes, derived from the centre's own key (HKDF-SHA256, RFC 5869).

What the database holds under such a key is worth nothing without the key's file. When the log gets
another key, the key that these are derived from stays (`application.secretsroot`).
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secureflow.kit.crypto import SigningKey


def derived_key(key: SigningKey, purpose: str) -> bytes:
    """Return 32 bytes for one purpose, e.g. `second factors`.

    Args:
        key: the first log key, which every server of the centre can read.
        purpose: other purposes have unrelated keys.
    """
    info = f"secureflow/v1 {purpose}".encode()
    return HKDF(SHA256(), 32, salt=None, info=info).derive(key.private.private_bytes_raw())
