"""The blobs that a job's worker starts from: fetched by their digest, into the job's folder."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secureflow.agent.job.context import AgentContext, Fetching
from secureflow.agent.job.retrying import retry_while_away
from secureflow.kit.disk import Place, writing
from secureflow.kit.filedigest import file_digest

_SUFFIX: Final = ".blob"


@dataclass(frozen=True)
class Blob:
    """What is started from: the blob's digest, and its bytes."""

    digest: str
    size: int


async def fetched(context: AgentContext, link: Fetching, job: str, blob: Blob) -> Path:
    """Return the file of a blob, which is fetched unless it is there whole; others are removed.

    Raises:
        SecureFlowError: the link's.
        InfrastructureError: there is no room.
    """
    path = context.settings.models / job / f"{blob.digest}{_SUFFIX}"
    place = Place(path.parent, "model files", context.party)
    with writing(place, blob.size):
        path.parent.mkdir(mode=0o700, exist_ok=True)
    if not await asyncio.to_thread(_is_sound, path, blob.digest):
        await retry_while_away(lambda: link.fetch(blob.digest, path, blob.size))
    await asyncio.to_thread(_keep_only, path)
    return path


def _is_sound(path: Path, digest: str) -> bool:
    """Tell whether a file is there whole: one of before a power cut may have lost bytes."""
    if not path.exists():
        return False
    if file_digest(path).hex() == digest:
        return True
    path.unlink()
    return False


def _keep_only(path: Path) -> None:
    """Remove the blobs of earlier rounds."""
    for other in path.parent.glob(f"*{_SUFFIX}"):
        if other != path:
            other.unlink(missing_ok=True)
