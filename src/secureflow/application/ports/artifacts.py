"""Content-addressed blobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from secureflow.domain.errors import DAMAGED
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

ARTIFACT: Final = "artifact"
"""The detail of `DamagedArtifactError` with the digest; agents pass it on in their failures."""


@dataclass(frozen=True)
class Artifact:
    """A stored blob: BLAKE3 hex digest and size in bytes."""

    digest: str
    size: int


class DamagedArtifactError(SecureFlowError):
    """What lies in the centre's store is not what its name says: people must put it back.

    A class of its own, so that an error that a party reports (`from_json`) never counts as one: a
    job that meets it is paused, and is resumed once the file is whole again.

    Args:
        digest: the blob's name.
    """

    def __init__(self, digest: str) -> None:
        super().__init__(
            DAMAGED,
            Text("The centre's stored file {digest} is damaged.", digest=digest),
            "The operator finds its place in the server's log, or with `secureflow server check`, "
            "puts it back from a backup, and resumes the job: secureflow job resume.",
            {ARTIFACT: digest},
        )


class Artifacts(Protocol):
    """Content-addressed blobs (BLAKE3)."""

    def demand(self, size: int) -> None:
        """Refuse bytes that do not fit (`disk_full`, an `InfrastructureError`)."""

    async def put(self, chunks: AsyncIterator[bytes], *, limit: int, expect: str = "") -> Artifact:
        """Store a stream of at most `limit` bytes; identical content is stored once.

        A longer stream raises `too_large`, one with another digest than `expect` (if given)
        `digest_mismatch`; neither leaves anything behind.
        """

    async def open(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        """Stream the blob from the offset (`not_found`, `DamagedArtifactError`)."""

    async def stat(self, digest: str) -> Artifact:
        """Return the blob's size (`not_found`)."""

    def path(self, digest: str) -> Path | None:
        """Return a local path if the adapter has one, for zero-copy reads."""

    async def delete(self, digest: str) -> None:
        """Remove the blob if it exists."""

    async def older_than(self, seconds: float) -> Sequence[str]:
        """Return the digests of the blobs that were stored longer ago."""
