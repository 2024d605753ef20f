"""The enclave's half of a sealed update (docs/threat-model.md, "Sealed mode", 3).

The order of the checks: header against the plan, content key, each chunk's tag at its position,
then the organisation's signature over all of it. Nothing is returned before the last check passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import blake3
import numpy as np
from numpy.typing import NDArray

from secureflow.engines.sealing.header import Binding, UpdateHeader, check_binding
from secureflow.engines.sealing.manifest import tensor_views
from secureflow.engines.sealing.recipient import RecipientKey
from secureflow.engines.sealing.seal import KIND, signed_body
from secureflow.engines.sealing.stream import ChunkCipher
from secureflow.engines.sealing.wiretypes import WidenedBlocks
from secureflow.kit.canonical import parse_json
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_TRAILER: Final = 1024


@dataclass(frozen=True)
class OpenedUpdate:
    """A verified update: read-only views of the opener's buffer, invalid once that is reused.

    Args:
        binding: the values to which it is bound.
        body_digest: hex BLAKE3 of the ciphertext.
        tensors: arrays by name.
    """

    binding: Binding
    body_digest: str
    tensors: dict[str, NDArray[Any]] = field(repr=False, compare=False)

    @property
    def parameters(self) -> NDArray[np.float32] | WidenedBlocks:
        """The update's f32[d], widened block by block if it has another dtype."""
        found = self.tensors["parameters"]
        if found.dtype == np.float32:
            return found
        return WidenedBlocks("bfloat16" if found.dtype == np.uint16 else "float16", found)

    @property
    def sums(self) -> NDArray[np.float64]:
        """The update's f64[k]; `sums[0]` is its weight."""
        return self.tensors["sums"]


class Opener:
    """Opens one update into the caller's buffer; any failure ends it permanently.

    Args:
        recipient: this enclave's key for the job.
        header: the sender's claims.
        expected: what the plan requires of this party now.
        signer: base64 signing key of the party, from the signed spec.

    Raises:
        SecureFlowError: `stale_round`, `manifest_mismatch`, `update_unexpected`,
            `sealed_key_refused`; all before a buffer is needed.
    """

    def __init__(
        self, recipient: RecipientKey, header: UpdateHeader, expected: Binding, signer: str
    ) -> None:
        check_binding(header.binding, expected)
        key = recipient.open_key(header.encapsulated, expected.info)
        self.header = header
        self._signer = signer
        self._cipher = ChunkCipher(key, expected.length)
        self._hash = blake3.blake3()
        self._buffer: memoryview | None = None
        self._ended = False
        self.received = 0
        """Chunks opened so far: a sender resumes here."""

    @property
    def length(self) -> int:
        """Plaintext bytes that the buffer must hold."""
        return self.header.binding.length

    @property
    def complete(self) -> bool:
        """Tell whether every chunk has arrived, so that the trailer is next."""
        return self.received == self._cipher.count

    def attach(self, buffer: memoryview) -> None:
        """Give the opener a writable byte buffer, at least `length` long, that nothing else uses.

        Raises:
            SecureFlowError: `buffer_too_small`.
        """
        if len(buffer) < self.length:
            raise SecureFlowError(
                "buffer_too_small",
                Text(
                    "The update needs {length} bytes, the buffer has {count}.",
                    length=self.length,
                    count=len(buffer),
                ),
            )
        self._buffer = buffer[: self.length]

    def write(self, chunk: bytes) -> None:
        """Decrypt the next chunk into its position.

        Raises:
            SecureFlowError: `chunk_unexpected`, `chunk_length_wrong`, `chunk_forged`,
                `update_aborted` after any earlier failure or the end.
        """
        buffer = self._usable()
        try:
            self._cipher.decrypt_into(self.received, chunk, buffer)
        except SecureFlowError:
            self.abort()
            raise
        self._hash.update(chunk)
        self.received += 1

    def finish(self, trailer: bytes) -> OpenedUpdate:
        """Verify the sender's signature over everything and return the update.

        Raises:
            SecureFlowError: `stream_short`, `trailer_malformed`, `update_forged`,
                `update_aborted`.
        """
        buffer = self._usable()
        self._ended = True
        if not self.complete:
            raise SecureFlowError(
                "stream_short",
                Text(
                    "The update of {party} ended after {received} of {count} chunks.",
                    party=self.header.binding.party,
                    received=self.received,
                    count=self._cipher.count,
                ),
                "Send the missing chunks.",
            )
        body_digest = self._hash.hexdigest()
        if not verify(
            self._signer, KIND, signed_body(self.header, body_digest), _signature(trailer)
        ):
            raise SecureFlowError(
                "update_forged",
                Text("{party} did not sign this update.", party=self.header.binding.party),
                "Someone seals in its name, or it does not sign with its key in the spec's roster.",
                {"party": self.header.binding.party},
            )
        tensors = tensor_views(self.header.binding.manifest, buffer)
        return OpenedUpdate(self.header.binding, body_digest, tensors)

    def abort(self) -> None:
        """End without a result; the buffer may then be reused."""
        self._ended = True
        self._buffer = None

    def _usable(self) -> memoryview:
        if self._ended or self._buffer is None:
            raise SecureFlowError(
                "update_aborted",
                Text(
                    "The upload of {party} has ended or has no buffer.",
                    party=self.header.binding.party,
                ),
                "Start the upload again.",
            )
        return self._buffer


def _signature(trailer: bytes) -> str:
    value = parse_json(trailer, MAX_TRAILER)
    if (
        not isinstance(value, dict)
        or value.keys() != {"signature"}
        or not isinstance(value["signature"], str)
    ):
        raise SecureFlowError("trailer_malformed", "The update's trailer is malformed.")
    return value["signature"]
