"""A commitment to a dataset: binding, and silent about the rows.

`SHA-256(salt ‖ BLAKE3(file))` with a 32-byte secret salt, so that nobody can test a guessed file
against it. The owner opens it by showing salt and file.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from blake3 import blake3

SALT_BYTES = 32


def file_digest(path: Path) -> bytes:
    """Return the 32-byte BLAKE3 digest of a file, read by memory map."""
    return blake3().update_mmap(path).digest()


def dataset_commitment(path: Path, salt: bytes) -> str:
    """Return the hex commitment of a file under a salt of 32 bytes.

    Raises:
        ValueError: the salt has another length.
    """
    if len(salt) != SALT_BYTES:
        message = f"the salt has {len(salt)} bytes, not {SALT_BYTES}"
        raise ValueError(message)
    return hashlib.sha256(salt + file_digest(path)).hexdigest()
