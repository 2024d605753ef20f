"""One blob for several stores, which comes once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from secureflow.application.ports.artifacts import Artifact, Artifacts


class SeveralArtifacts:
    """`Artifacts` over several: what is put is put in each, all else is asked of the first.

    Args:
        stores: at least one.
    """

    def __init__(self, stores: Sequence[Artifacts]) -> None:
        self._first, *self._others = stores

    def demand(self, size: int) -> None:
        """See `Artifacts.demand`."""
        self._first.demand(size * (1 + len(self._others)))

    async def put(self, chunks: AsyncIterator[bytes], *, limit: int, expect: str = "") -> Artifact:
        """See `Artifacts.put`."""
        stored = await self._first.put(chunks, limit=limit, expect=expect)
        for one in self._others:
            again = await self._first.open(stored.digest)
            await one.put(again, limit=stored.size, expect=stored.digest)
        return stored

    async def open(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        """See `Artifacts.open`."""
        return await self._first.open(digest, offset)

    async def stat(self, digest: str) -> Artifact:
        """See `Artifacts.stat`."""
        return await self._first.stat(digest)

    def path(self, digest: str) -> Path | None:
        """See `Artifacts.path`."""
        return self._first.path(digest)

    async def delete(self, digest: str) -> None:
        """See `Artifacts.delete`."""
        for one in (self._first, *self._others):
            await one.delete(digest)

    async def older_than(self, seconds: float) -> Sequence[str]:
        """See `Artifacts.older_than`."""
        return await self._first.older_than(seconds)
