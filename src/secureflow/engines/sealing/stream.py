"""Chunked authenticated encryption: AES-256-GCM in the STREAM construction.

Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance" (CRYPTO 2015), with the nonce layout of age: an 11-byte big-endian chunk
index and one byte that is 1 for the last chunk. So chunks cannot be reordered, dropped, duplicated
or truncated. A key encrypts one message only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

CHUNK: Final = 1 << 20
"""Plaintext bytes of every chunk but the last."""
TAG: Final = 16
KEY: Final = 32


def chunk_count(length: int) -> int:
    """Return the number of chunks of this many plaintext bytes; an empty message has one."""
    return max(1, -(-length // CHUNK))


def chunk_length(length: int, index: int) -> int:
    """Return the plaintext bytes of the chunk at this index."""
    return min(CHUNK, length - index * CHUNK)


class ChunkCipher:
    """The chunks of one message under one fresh 32-byte key."""

    def __init__(self, key: bytes, length: int) -> None:
        self._aead = AESGCM(key)
        self._length = length
        self.count = chunk_count(length)

    def encrypt(self, index: int, plaintext: memoryview) -> bytes:
        """Return ciphertext and tag of the chunk at this index, given the whole plaintext."""
        start = index * CHUNK
        return self.encrypt_part(index, plaintext[start : start + self.length_of(index)])

    def length_of(self, index: int) -> int:
        """Return the plaintext bytes of the chunk at this index."""
        return chunk_length(self._length, index)

    def encrypt_part(self, index: int, part: bytes | memoryview) -> bytes:
        """Return ciphertext and tag of the chunk at this index, given its plaintext."""
        return self._aead.encrypt(self._nonce(index), part, None)

    def decrypt_part(self, index: int, chunk: bytes, buffer: memoryview) -> memoryview:
        """Return the plaintext of a chunk, in a buffer that has room for one.

        Raises:
            SecureFlowError: as `decrypt_into`.
        """
        self._check(index, chunk)
        place = buffer[: self.length_of(index)]
        self._open(index, chunk, place)
        return place

    def decrypt_into(self, index: int, chunk: bytes, buffer: memoryview) -> None:
        """Decrypt a chunk into its position in a writable buffer for the whole plaintext.

        Raises:
            SecureFlowError: `chunk_unexpected` beyond the last chunk, `chunk_length_wrong`,
                `chunk_forged`. After an error the buffer holds nothing usable at that position.
        """
        self._check(index, chunk)
        place = buffer[index * CHUNK : index * CHUNK + self.length_of(index)]
        self._open(index, chunk, place)

    def _check(self, index: int, chunk: bytes) -> None:
        if not 0 <= index < self.count:
            raise SecureFlowError(
                "chunk_unexpected",
                Text(
                    "Chunk {index} comes after the last of {count} chunks.",
                    index=index,
                    count=self.count,
                ),
            )
        length = chunk_length(self._length, index)
        if len(chunk) != length + TAG:
            raise SecureFlowError(
                "chunk_length_wrong",
                Text(
                    "Chunk {index} has {count} bytes instead of {length}.",
                    index=index,
                    count=len(chunk),
                    length=length + TAG,
                ),
            )

    def _open(self, index: int, chunk: bytes, place: memoryview) -> None:
        try:
            self._aead.decrypt_into(self._nonce(index), chunk, None, place)
        except InvalidTag as error:
            raise SecureFlowError(
                "chunk_forged",
                Text("Chunk {index} is not what its sender sealed at this place.", index=index),
                "It was altered, moved or cut off on the way; the sender starts again.",
            ) from error

    def _nonce(self, index: int) -> bytes:
        return index.to_bytes(11, "big") + bytes([index == self.count - 1])


def encrypt_stream(key: bytes, plaintext: memoryview) -> Iterator[bytes]:
    """Yield the chunks of a message; the key must be fresh and is used for this message only."""
    cipher = ChunkCipher(key, len(plaintext))
    for index in range(cipher.count):
        yield cipher.encrypt(index, plaintext)


def decrypt_stream(key: bytes, chunks: Iterable[bytes], buffer: memoryview) -> None:
    """Decrypt a message of exactly `len(buffer)` plaintext bytes into the buffer.

    Raises:
        SecureFlowError: those of `ChunkCipher.decrypt_into`, `stream_short`. The buffer's content
            is valid only if this returns.
    """
    cipher = ChunkCipher(key, len(buffer))
    received = 0
    for chunk in chunks:
        cipher.decrypt_into(received, chunk, buffer)
        received += 1
    if received != cipher.count:
        raise SecureFlowError(
            "stream_short",
            Text(
                "The stream ended after {received} of {count} chunks.",
                received=received,
                count=cipher.count,
            ),
        )
