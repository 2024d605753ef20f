"""What code says of an owner's rows: checked as it arrives, and kept in a file of the agent's own.

The file is raw float32, one number for each row (or for each of its classes). As many bytes are
read as the job's rows take, block by block, so the agent's memory does not grow with them. It gets
its name once all of it was checked and is on the disk: what lies there is whole, and its code is
not run again. So a request that is repeated is answered with the same numbers, whatever the code
draws at random.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.kit.atomic import flush_directory
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MOST: Final = 1 << 33
"""Bytes of all outputs of a party."""
BLOCK: Final = 1 << 20
"""About so many bytes are checked and written at a time."""
_PART: Final = ".part"


@dataclass(frozen=True)
class OutputsFile:
    """Where a job's code writes what it says of the rows, and what that must be.

    Args:
        path: the file.
        shape: of all of it; rows first.
        problem: says why some rows of it count for nothing, or None.
    """

    path: Path
    shape: tuple[int, ...]
    problem: Callable[[NDArray[np.float32]], str | None] = lambda _: None

    @property
    def size(self) -> int:
        """The bytes of all outputs."""
        return 4 * math.prod(self.shape)

    @property
    def whole(self) -> bool:
        """Whether the file is there, whole and checked."""
        return self.path.exists() and self.path.stat().st_size == self.size

    def read(self) -> NDArray[np.float32]:
        """Return what the file holds.

        Raises:
            ValueError: it is not whole.
        """
        return np.fromfile(self.path, "<f4").reshape(self.shape)

    @asynccontextmanager
    async def filled(self) -> AsyncIterator[Callable[[memoryview], str | None]]:
        """Give what checks and writes whole rows, and returns why they count for nothing.

        Raises:
            SecureFlowError: `too_large`.
            InfrastructureError: there is no room.
        """
        if self.size > MOST:
            raise SecureFlowError(
                "too_large",
                Text("What code says of all rows may have {most} bytes at most.", most=MOST),
                "Publish fewer rows, or several datasets.",
            )
        place = Place(self.path.parent, "model files")
        part = self.path.with_name(self.path.name + _PART)
        place.demand(self.size)
        with writing(place, self.size):
            part.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            try:
                with os.fdopen(os.open(part, flags, 0o600), "wb", 0) as file:
                    yield lambda block: self._take(file, block, place)
                    await asyncio.to_thread(os.fsync, file.fileno())
                part.replace(self.path)
            except BaseException:  # half of it would take the room that may be missing
                part.unlink(missing_ok=True)
                raise
            await asyncio.to_thread(flush_directory, self.path.parent)

    @property
    def block(self) -> int:
        """The bytes of as many whole rows as are taken at a time."""
        row = 4 * math.prod(self.shape[1:])
        return max(BLOCK // row, 1) * row

    def _take(self, file: BinaryIO, block: memoryview, place: Place) -> str | None:
        found = self.problem(np.frombuffer(block, "<f4").reshape(-1, *self.shape[1:]))
        if found is None:
            with writing(place, len(block)):
                file.write(block)
        return found
