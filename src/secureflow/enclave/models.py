"""The global model inside the enclave: one array, updated in place.

A model that everyone may see is stored as its raw little-endian float32 bytes, so the blob's
digest is the model's. One that only the agents may see is stored as ciphertext under a fresh
content key, which is sealed to each agent's recipient key.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from secureflow.adapters.link import Chunked, Source
from secureflow.engines.sealing import (
    CHUNK,
    TAG,
    chunk_count,
    decrypt_stream,
    encrypt_stream,
    new_content_key,
    seal_key,
    tensor_digest,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folderlock import scratch, temporary
from secureflow.kit.text import Text

_FLOAT: Final = 4
_FOLDER: Final = ".secureflow-model-"


class Blobs(Protocol):
    """The centre's blobs (`adapters.link.Link`)."""

    async def fetch(self, digest: str, path: Path, size: int) -> None:
        """Fetch a blob and verify its BLAKE3 digest."""

    async def store(self, source: Source, digest: str) -> None:
        """Store a blob."""


@dataclass
class GlobalModel:
    """The model that updates start from.

    Args:
        parameters: float32 (d,), owned.
        digest: hex BLAKE3 of its raw bytes.
    """

    parameters: NDArray[np.float32]
    digest: str

    @classmethod
    def of(cls, parameters: NDArray[np.float32]) -> GlobalModel:
        """Take ownership of an array."""
        return cls(parameters, tensor_digest(parameters))

    @property
    def size(self) -> int:
        """Raw bytes."""
        return self.parameters.nbytes

    def moved(self) -> None:
        """Note that the parameters have changed."""
        self.digest = tensor_digest(self.parameters)

    async def store_open(self, blobs: Blobs) -> dict[str, JSON]:
        """Store the raw bytes and return {artifact, size}."""
        await blobs.store(self.parameters.data, self.digest)
        return {"artifact": self.digest, "size": self.size}

    async def store_sealed(
        self, blobs: Blobs, recipients: Mapping[str, str], infos: Mapping[str, bytes]
    ) -> dict[str, JSON]:
        """Store ciphertext and return {artifact, size, keys}.

        Args:
            blobs: the store.
            recipients: party → HPKE key.
            infos: party → HPKE info.
        """
        key = new_content_key()
        plain = self.parameters.data.cast("B")
        size = self.size + TAG * chunk_count(self.size)
        # Two passes over the same chunks, so that no second copy of the model is held.
        artifact = await asyncio.to_thread(_digest_of, key, plain)
        await blobs.store(Chunked(size, lambda: encrypt_stream(key, plain)), artifact)
        keys = {party: seal_key(key, to, infos[party]) for party, to in recipients.items()}
        return {"artifact": artifact, "size": size, "keys": keys}


class PublishedMean:
    """A mean update from which agents compute the next model."""

    def __init__(self, mean: NDArray[np.float32], digest: str) -> None:
        self._mean = mean
        self._digest = digest

    async def store(self, blobs: Blobs) -> dict[str, str | int]:
        """Store it and return {artifact, size}."""
        await blobs.store(self._mean.data, self._digest)
        return {"artifact": self._digest, "size": self._mean.nbytes}


async def load_open(blobs: Blobs, digest: str, parameters: int) -> GlobalModel:
    """Fetch a model that everyone may see.

    Raises:
        SecureFlowError: the link's; `too_large` and `model_mismatch` if the length is wrong.
    """
    return await _load(blobs, digest, digest, parameters, _FLOAT * parameters, None)


async def load_sealed(
    blobs: Blobs, digest: str, artifact: str, parameters: int, key: bytes
) -> GlobalModel:
    """Fetch a model's ciphertext and open it.

    Raises:
        SecureFlowError: the link's, those of `decrypt_stream`, and `model_mismatch`.
    """
    length = _FLOAT * parameters
    size = length + TAG * chunk_count(length)
    return await _load(blobs, digest, artifact, parameters, size, key)


async def _load(
    blobs: Blobs, digest: str, artifact: str, parameters: int, size: int, key: bytes | None
) -> GlobalModel:
    place = Place(temporary(), "temporary files", "the enclave")
    place.demand(size)
    with contextlib.ExitStack() as stack:
        with writing(place, size):
            folder = stack.enter_context(scratch(place.folder, _FOLDER))
        path = folder / "model"
        await blobs.fetch(artifact, path, size)
        model = await asyncio.to_thread(_read, path, parameters, key)
    if model.digest != digest:
        raise SecureFlowError(
            "model_mismatch",
            Text(
                "What the centre offers as model {digest}… has different content.",
                digest=digest[:16],
            ),
            "Restore the blob, or start from another round.",
        )
    return model


def _read(path: Path, parameters: int, key: bytes | None) -> GlobalModel:
    array = np.empty(parameters, np.float32)
    buffer = array.data.cast("B")
    with path.open("rb", 0) as file:
        if key is None:
            while count := file.readinto(buffer):
                buffer = buffer[count:]
        else:
            decrypt_stream(key, iter(lambda: file.read(CHUNK + TAG), b""), buffer)
    return GlobalModel.of(array)


def _digest_of(key: bytes, plain: memoryview) -> str:
    hasher = blake3()
    for chunk in encrypt_stream(key, plain):
        hasher.update(chunk)
    return hasher.hexdigest()
