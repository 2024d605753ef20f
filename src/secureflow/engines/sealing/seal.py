"""The sender's half of a sealed update (docs/threat-model.md, "Sealed mode", 2).

A fresh content key, sealed by HPKE to the attested key under `info`; the body in STREAM chunks;
a trailer in which the organisation signs info, encapsulated key and body. Both halves of the
protocol: `seal` here, `Opener` in `opener.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import blake3

from secureflow.engines.sealing.header import Binding, UpdateHeader
from secureflow.engines.sealing.recipient import new_content_key, seal_key
from secureflow.engines.sealing.stream import TAG, ChunkCipher
from secureflow.kit.canonical import b64decode, canonical_bytes
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

KIND: Final = "update"


class SealedUpdate:
    """One sealed update; sending can resume at any chunk already made.

    The plaintext's buffer must not change while the update may be sent: a chunk whose tag
    differs from its first one is never returned (a second plaintext under one nonce would
    break AES-GCM).
    """

    def __init__(
        self, header: UpdateHeader, plaintext: memoryview, key: bytes, signer: SigningKey
    ) -> None:
        self.header = header
        self.header_bytes = header.encode()
        self._plaintext = plaintext
        self._cipher = ChunkCipher(key, len(plaintext))
        self._signer = signer
        self._hash = blake3.blake3()
        self._tags: list[bytes] = []

    @property
    def chunk_count(self) -> int:
        """Chunks of the body."""
        return self._cipher.count

    def chunks(self, start_chunk: int = 0) -> Iterator[bytes]:
        """Yield the body's ciphertext chunks from this index on, identical every time.

        Raises:
            SecureFlowError: `resume_beyond` if earlier chunks were never made,
                `update_changed` if the plaintext has changed since it was sealed.
        """
        if not 0 <= start_chunk <= len(self._tags):
            raise SecureFlowError(
                "resume_beyond",
                Text(
                    "The receiver asks for chunk {start_chunk}, but only {count} were sent.",
                    start_chunk=start_chunk,
                    count=len(self._tags),
                ),
                "Start again from chunk 0.",
            )
        for index in range(start_chunk, self.chunk_count):
            yield self._chunk(index)

    def trailer(self) -> bytes:
        """Return the signed trailer, once every chunk has been made.

        Raises:
            SecureFlowError: `update_unfinished`.
        """
        return canonical_bytes({"signature": self._signer.sign(KIND, self._body())})

    @property
    def body_digest(self) -> str:
        """Hex BLAKE3 of the whole ciphertext; `update_unfinished` before the last chunk."""
        if len(self._tags) < self.chunk_count:
            raise SecureFlowError(
                "update_unfinished",
                Text(
                    "Only {count} of {chunk_count} chunks were sealed so far.",
                    count=len(self._tags),
                    chunk_count=self.chunk_count,
                ),
            )
        return self._hash.hexdigest()

    def _chunk(self, index: int) -> bytes:
        chunk = self._cipher.encrypt(index, self._plaintext)
        tag = chunk[-TAG:]
        if index == len(self._tags):
            self._tags.append(tag)
            self._hash.update(chunk)
        elif tag != self._tags[index]:
            raise SecureFlowError(
                "update_changed",
                Text("Chunk {index} of the update is not what was sealed at first.", index=index),
                "Seal the changed update again; a content key is for one plaintext.",
            )
        return chunk

    def _body(self) -> dict[str, Any]:
        return signed_body(self.header, self.body_digest)


def seal(
    binding: Binding, plaintext: memoryview, recipient: str, signer: SigningKey
) -> SealedUpdate:
    """Seal an update to the enclave.

    Args:
        binding: the update's binding.
        plaintext: contiguous bytes of the manifest's tensors; referenced, not copied.
        recipient: base64 HPKE key from the verdict on the enclave's evidence.
        signer: the sending organisation's key.

    Raises:
        SecureFlowError: `update_length_wrong`, `malformed_key`.
    """
    data = plaintext.cast("B")
    if len(data) != binding.length:
        raise SecureFlowError(
            "update_length_wrong",
            Text(
                "The update has {count} bytes, its manifest says {length}.",
                count=len(data),
                length=binding.length,
            ),
        )
    key = new_content_key()
    header = UpdateHeader(binding, seal_key(key, recipient, binding.info))
    return SealedUpdate(header, data, key, signer)


def signed_body(header: UpdateHeader, body_digest: str) -> dict[str, Any]:
    """Return what the trailer's signature of kind `update` covers."""
    return {
        "info": header.binding.info.hex(),
        "encapsulated": hashlib.sha256(b64decode(header.encapsulated)).hexdigest(),
        "body": body_digest,
    }
