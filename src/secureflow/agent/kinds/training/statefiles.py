"""States in files, read and written block by block: an agent holds no model in memory."""

from __future__ import annotations

import os
from typing import IO

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.models import with_kept
from secureflow.engines.training.strategies import Blocks

_FLOAT32 = 4


def state_in(spec: TrainingSpec, source: IO[bytes]) -> Blocks:
    """Return the state in a model's file; an uploaded model's with what its strategy keeps."""
    if os.fstat(source.fileno()).st_size == _FLOAT32 * spec.parameters:
        return Read(source)
    return with_kept(spec, np.fromfile(source, "<f4"))


class Read:
    """The float32 values of a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __getitem__(self, part: slice) -> NDArray[np.float32]:
        """Return a block; all of it for a slice without ends."""
        start = part.start or 0
        self._file.seek(_FLOAT32 * start)
        return np.fromfile(self._file, "<f4", -1 if part.stop is None else part.stop - start)


class Written:
    """A file to which float32 values are written in order, and their hex BLAKE3."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hasher = blake3()

    def __setitem__(self, part: slice, values: NDArray[np.float32]) -> None:
        """Write the next block."""
        del part
        data = values.data.cast("B")
        self._hasher.update(data)
        self._file.write(data)

    @property
    def digest(self) -> str:
        """What was written so far."""
        return self._hasher.hexdigest()
