"""Large request bodies: made block by block, again for each try, by both drivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import httpx


class Streamed(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body of a known size.

    Args:
        size: its bytes.
        blocks: yields them from the beginning.
    """

    def __init__(self, size: int, blocks: Callable[[], Iterator[bytes]]) -> None:
        self.size = size
        self._blocks = blocks

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body."""
        return self._blocks()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body; blocks are made in a thread."""
        blocks = self._blocks()
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            yield block
