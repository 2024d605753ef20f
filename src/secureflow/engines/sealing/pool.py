"""A few large buffers that are reused.

The first touch of fresh memory costs several times as much as moving the bytes over TLS, so an
enclave opens every update into one of a fixed number of buffers, allocated when first needed.
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
        """Return a writable buffer for the caller alone, or None if all are in use.

        It still holds the previous user's content: it is written before it is read.
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
        """Return a buffer to the pool.

        Raises:
            SecureFlowError: `buffer_foreign` for a buffer that is not on loan from `take`: two
                owners of one buffer would mix two parties' updates.
        """
        if self._taken.pop(id(buffer), None) is not buffer:
            raise SecureFlowError("buffer_foreign", "The buffer is not taken from this pool.")
        self._free.append(buffer)
