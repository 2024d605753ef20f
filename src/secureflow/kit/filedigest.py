"""The BLAKE3 digest of a file that another program, or a power cut, may truncate."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from blake3 import blake3

_BLOCK: Final = 1 << 20


def file_digest(path: Path) -> bytes:
    """Return the 32-byte BLAKE3 digest of a file.

    It is read, not mapped: if another program truncated a mapped file (a nightly export that
    overwrites it), this process and every job in it would be killed.
    """
    hasher, block = blake3(), memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            hasher.update(block[:size])
    return hasher.digest()
