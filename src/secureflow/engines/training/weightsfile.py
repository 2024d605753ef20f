"""A file of weights to start a job from, read block by block: it may be larger than memory.

The file is read twice: once for its digest and to check every value, and once to send it. What is
sent is the flat vector of `engines.training.tensors`: the tensors in the order of their names, as
little-endian float32.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from secureflow.domain.specs.tensors import Tensors, total
from secureflow.engines.sealing.wiretypes import widened
from secureflow.engines.training.export import TENSOR, described_weights
from secureflow.engines.training.tensors import (
    StoredTensor,
    check_values,
    header_length,
    stored_tensors,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import failed_at
from secureflow.kit.text import Text

BLOCK: Final = 1 << 18
"""Values that are in memory at once."""


@dataclass(frozen=True)
class WeightsFile:
    """A checked file of weights.

    Args:
        path: the safetensors file.
        tensors: what it holds, in the order of names.
        digest: BLAKE3 of the flat vector's bytes, as `Initial.model`.
        size: the number of these bytes.
    """

    path: Path
    tensors: Tensors
    digest: str
    size: int
    _stored: tuple[StoredTensor, ...]

    @classmethod
    def read(cls, path: Path) -> WeightsFile:
        """Check a file; one that `ModelFile` wrote counts as the tensors that its card describes.

        Raises:
            SecureFlowError: `invalid_file` for one that cannot be read, `tensors_wrong`, and for a
                file with a card `invalid_model`, `model_digest_mismatch`.
        """
        try:
            with path.open("rb") as file:
                stored, metadata = _stored(file)
                whole = _digest(file, stored)
        except OSError as error:
            raise unreadable(path, error) from error
        tensors: Tensors = tuple(one.spec for one in stored)
        digest, size = whole, 4 * total(tensors)
        if [one.name for one in tensors] == [TENSOR] and "card" in metadata:
            tensors = described_weights(metadata["card"], stored[0].spec, whole)
            if 4 * total(tensors) != size:  # the norm of a job that adapted it is no weight
                size = 4 * total(tensors)
                digest = cls(path, tensors, "", size, stored)._hashed()
        return cls(path, tensors, digest, size, stored)

    def blocks(self) -> Iterator[bytes]:
        """Yield the flat vector's bytes.

        Raises:
            SecureFlowError: `invalid_file`, or `tensors_wrong` if the file has changed meanwhile.
        """
        try:
            with self.path.open("rb") as file:
                left = self.size
                for block in _values(file, self._stored):
                    data = block.astype("<f4").tobytes()[:left]
                    left -= len(data)
                    yield data
                    if not left:
                        return
        except OSError as error:
            raise unreadable(self.path, error) from error

    def _hashed(self) -> str:
        hasher = blake3()
        for data in self.blocks():
            hasher.update(data)
        return hasher.hexdigest()


def unreadable(path: Path, error: OSError) -> SecureFlowError:
    """Return the error for a file that cannot be read."""
    return SecureFlowError("invalid_file", failed_at(path, error), "Give a file that you may read.")


def _stored(file: BinaryIO) -> tuple[tuple[StoredTensor, ...], dict[str, Any]]:
    """Return the file's tensors, in the order of names, and its metadata."""
    size = os.fstat(file.fileno()).st_size
    length = header_length(file.read(8), size)
    return stored_tensors(file.read(length), size - 8 - length, 8 + length)


def _digest(file: BinaryIO, stored: tuple[StoredTensor, ...]) -> str:
    hasher = blake3()
    for block in _values(file, stored):
        hasher.update(block.astype("<f4").tobytes())
    return hasher.hexdigest()


def _values(file: BinaryIO, stored: tuple[StoredTensor, ...]) -> Iterator[NDArray[np.float32]]:
    """Yield the values of the tensors, each block checked."""
    for one in stored:
        width = np.dtype(one.code).itemsize
        file.seek(one.start)
        for at in range(0, one.spec.size, BLOCK):
            count = min(BLOCK, one.spec.size - at)
            data = file.read(count * width)
            if len(data) != count * width:
                raise SecureFlowError(
                    "tensors_wrong",
                    Text(
                        "The tensors do not fit the model: {reason}.",
                        reason="the file changed while it was read",
                    ),
                    "Use exactly the tensors that the job's model has, with their shapes.",
                )
            raw = np.frombuffer(data, one.code)
            array = widened("bfloat16", raw) if one.spec.dtype == "bfloat16" else raw
            yield check_values(one.spec, array)
