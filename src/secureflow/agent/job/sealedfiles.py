"""Files sealed chunk by chunk: never more than a chunk of them is in memory.

They are read, not mapped: a file that another program cuts would end this process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from secureflow.engines.sealing import CHUNK, TAG, ChunkCipher
from secureflow.kit.atomic import flush_directory
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def seal_file(source: Path, target: Path, key: bytes, digest: str) -> str:
    """Write the ciphertext of a file, and return its hex BLAKE3 digest.

    A key must never encrypt two contents: if the file is not what the key is for, nothing of the
    ciphertext stays.

    Args:
        source: the file.
        target: the ciphertext; an older one is replaced.
        key: 32 bytes, used for this content only.
        digest: hex BLAKE3 of this content.

    Raises:
        OSError: there is no room, or a disk fails.
        SecureFlowError: `file_changed`.
    """
    length, hasher, content = source.stat().st_size, blake3(), blake3()
    cipher = ChunkCipher(key, length)
    with source.open("rb") as plain, _private(target) as sealed:
        for index in range(cipher.count):
            part = plain.read(cipher.length_of(index))
            content.update(part)
            chunk = cipher.encrypt_part(index, part)
            hasher.update(chunk)
            sealed.write(chunk)
    if content.hexdigest() != digest:
        target.unlink()
        raise _changed(source)
    return hasher.hexdigest()


def open_file(source: Path, target: Path, key: bytes, length: int) -> str:
    """Write the file that a ciphertext holds, whole or not at all; return its hex BLAKE3 digest.

    Args:
        source: the ciphertext.
        target: the file, mode 0600; an older one is replaced.
        key: its content key.
        length: bytes of the file.

    Raises:
        OSError: there is no room, or a disk fails.
        SecureFlowError: those of `ChunkCipher.decrypt_into`.
    """
    fresh = target.with_name(target.name + ".next")
    cipher, hasher = ChunkCipher(key, length), blake3()
    buffer = memoryview(bytearray(min(length, CHUNK)))
    try:
        with source.open("rb") as sealed, _private(fresh) as plain:
            for index in range(cipher.count):
                part = cipher.decrypt_part(index, sealed.read(CHUNK + TAG), buffer)
                hasher.update(part)
                plain.write(part)
            plain.flush()
            os.fsync(plain.fileno())
        fresh.replace(target)
    except (OSError, SecureFlowError):
        fresh.unlink(missing_ok=True)
        raise
    flush_directory(target.parent)
    return hasher.hexdigest()


def _private(path: Path) -> BinaryIO:
    """Open a new file that only its owner reads."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    return os.fdopen(handle, "wb")


def _changed(path: Path) -> SecureFlowError:
    return SecureFlowError(
        "file_changed",
        Text("{path} changed while it was sealed.", path=path.name),
        "Let nothing write to the agent's files, and submit the job again.",
    )
