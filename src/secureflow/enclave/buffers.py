"""Waiting for one of the few update buffers.

An upload that gets none does not read: gRPC's flow control then slows its sender down, so memory
does not grow with the number of parties.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from secureflow.engines.sealing import BufferPool


class Buffers:
    """A buffer pool with a queue.

    Args:
        count: buffers.
        size: bytes of each buffer.
    """

    def __init__(self, count: int, size: int) -> None:
        self._pool = BufferPool(count, size)
        self._waiting: deque[asyncio.Future[memoryview]] = deque()

    @property
    def wanted(self) -> bool:
        """Tell whether an upload waits for a buffer."""
        return any(not waiter.done() for waiter in self._waiting)

    async def take(self, reclaim: Callable[[], bool]) -> memoryview:
        """Return a buffer, first come first served.

        Args:
            reclaim: returns an idle buffer to the pool, if there is one.
        """
        buffer = None if self.wanted else self._pool.take()
        if buffer is not None:
            return buffer
        waiter: asyncio.Future[memoryview] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        reclaim()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.give(waiter.result())
            raise

    def give(self, buffer: memoryview) -> None:
        """Hand a buffer to the next waiting upload, or return it to the pool."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(buffer)
                return
        self._pool.give(buffer)
