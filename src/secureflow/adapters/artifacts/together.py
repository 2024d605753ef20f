"""Two stores, read as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from secureflow.application.ports.artifacts import Artifact, Artifacts
from secureflow.kit.errors import SecureFlowError


class ReadTogether:
    """Implements the `Artifacts` port: reads both stores, and changes the first one only.

    Args:
        first: what jobs release.
        other: what people upload, for parties that were told of it.
    """

    def __init__(self, first: Artifacts, other: Artifacts) -> None:
        self._first = first
        self._other = other

    def demand(self, size: int) -> None:
        """Refuse bytes that do not fit."""
        self._first.demand(size)

    async def put(self, chunks: AsyncIterator[bytes], *, limit: int, expect: str = "") -> Artifact:
        """Store a stream in the first store."""
        return await self._first.put(chunks, limit=limit, expect=expect)

    async def open(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        """Stream the blob from the offset.

        Raises:
            SecureFlowError: `not_found`.
        """
        return await (await self._holder(digest)).open(digest, offset)

    async def stat(self, digest: str) -> Artifact:
        """Return the blob's size.

        Raises:
            SecureFlowError: `not_found`.
        """
        return await (await self._holder(digest)).stat(digest)

    def path(self, digest: str) -> Path | None:
        """Return the blob's file, or None."""
        return self._first.path(digest) or self._other.path(digest)

    async def delete(self, digest: str) -> None:
        """Remove the blob from the first store."""
        await self._first.delete(digest)

    async def older_than(self, seconds: float) -> Sequence[str]:
        """Return the digests of the first store's blobs that were stored longer ago."""
        return await self._first.older_than(seconds)

    async def _holder(self, digest: str) -> Artifacts:
        try:
            await self._first.stat(digest)
        except SecureFlowError as error:
            if error.code != "not_found":
                raise
            return self._other
        return self._first
