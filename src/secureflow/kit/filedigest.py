"""The BLAKE3 digest of a file that another program, or a power cut, may truncate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from blake3 import blake3

_BLOCK: Final = 1 << 20
_SMALL: Final = 1 << 14


def file_digest(path: Path) -> bytes:
    """Return the 32-byte BLAKE3 digest of a file.

    It is read, not mapped: if another program truncated a mapped file (a nightly export that
    overwrites it), this process and every job in it would be killed.
    """
    with path.open("rb", buffering=0) as file:
        return handle_digest(file.fileno())


def handle_digest(handle: int) -> bytes:
    """Return the digest of an open file from where it is; see `file_digest`."""
    size = min(_BLOCK, max(_SMALL, os.fstat(handle).st_size + 1))
    hasher, block = blake3(), memoryview(bytearray(size))
    while size := os.readv(handle, [block]):
        hasher.update(block[:size])
    return hasher.digest()
