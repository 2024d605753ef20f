"""The BLAKE3 digest of a file that another program, or a power cut, may have made shorter."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from blake3 import blake3

_BLOCK: Final = 1 << 20


def file_digest(path: Path) -> bytes:
    """Return the 32-byte BLAKE3 digest of a file.

    It is read, not mapped: where another program cuts a mapped file short (a nightly export that
    writes over it), this process would be killed, and every job that runs in it.
    """
    hasher, block = blake3(), memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            hasher.update(block[:size])
    return hasher.digest()
