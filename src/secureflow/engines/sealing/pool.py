"""A few large buffers that are used again and again.

The first touch of fresh memory costs several times what moving the bytes over TLS costs, so an
enclave opens every update into one of a fixed number of buffers, made when first needed.
"""

from __future__ import annotations

import numpy as np

from secureflow.kit.errors import SecureFlowError


class BufferPool:
    """At most `count` buffers of `size` bytes each; not thread-safe."""

    def __init__(self, count: int, size: int) -> None:
        self.size = size
        self._unmade = count
        self._free: list[memoryview] = []
        self._taken: dict[int, memoryview] = {}

    def take(self) -> memoryview | None:
        """Return a writable buffer for the caller alone, or None when all are in use.

        Its content is whatever the last user left: it is written before it is read.
        """
        if not self._free:
            if not self._unmade:
                return None
            self._unmade -= 1
            # NumPy advises huge pages for large blocks, which saves most page faults.
            self._free.append(np.zeros(self.size, np.uint8).data)
        buffer = self._free.pop()
        self._taken[id(buffer)] = buffer
        return buffer

    def give(self, buffer: memoryview) -> None:
        """Give a taken buffer back.

        Raises:
            SecureFlowError: `buffer_foreign` for anything that `take` did not hand out: two
                owners of one buffer would mix two parties' updates.
        """
        if self._taken.pop(id(buffer), None) is not buffer:
            raise SecureFlowError("buffer_foreign", "The buffer is not taken from this pool.")
        self._free.append(buffer)
