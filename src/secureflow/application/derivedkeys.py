"""Keys for single purposes, derived from the centre's own key (HKDF-SHA256, RFC 5869).

What the database holds under such a key is worth nothing without the key's file. This is the only
place that says which key that is. After another log key what was sealed under the old one cannot be
read: people enrol their second factor again, and log in again.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secureflow.kit.crypto import SigningKey


def derived_key(key: SigningKey, purpose: str) -> bytes:
    """Return 32 bytes for one purpose, e.g. `second factors`.

    Args:
        key: the log's key, which every server of the centre holds.
        purpose: other purposes have unrelated keys.
    """
    info = f"secureflow/v1 {purpose}".encode()
    return HKDF(SHA256(), 32, salt=None, info=info).derive(key.private.private_bytes_raw())
