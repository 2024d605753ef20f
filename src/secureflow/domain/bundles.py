"""Code bundles that the centre keeps for a project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KEPT_SECONDS: Final = 30 * 86_400
"""How long an upload is kept after it was sent, and after the last job that names it has ended."""
FOR_EVER: Final = (1 << 53) - 1
"""The expiry of an upload that an unfinished job names."""


@dataclass(frozen=True)
class BundleFacts:
    """A bundle in a project: its digest (BLAKE3 of the packing), who uploaded it, its size.

    `id` is `PROJECT.DIGEST`; `name` is the uploader's, for people; `created` unix seconds.
    """

    id: str
    project: str
    digest: str
    organisation: str
    uploader: str
    name: str
    size: int
    files: int
    lines: int
    created: int


@dataclass(frozen=True)
class StoredBundle(BundleFacts):
    """A row of the centre's; `expires` unix seconds, or `FOR_EVER`."""

    expires: int


@dataclass(frozen=True)
class KeptBundle(BundleFacts):
    """What people are told of a bundle in a project, and how long it is kept.

    `jobs` are the unfinished jobs that name it. As long as there are any, `expires` is None.
    """

    expires: int | None
    jobs: tuple[str, ...] = ()


def bundle_id(project: str, digest: str) -> str:
    """Return the id of a bundle in a project."""
    return f"{project}.{digest}"
