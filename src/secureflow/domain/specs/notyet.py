"""Names of what does not exist yet: they stand in the spec of a pipeline until it does."""

from __future__ import annotations

from typing import Final

from secureflow.kit.canonical import digest

NOT_YET: Final = "job_00000000000000000000"
"""The id of a job that does not exist yet."""
NO_DIGEST: Final = "0" * 64
"""The digest of a spec that does not exist yet."""


def provisional_digest(step: str) -> str:
    """Return what stands for the digest of the model that a step is to release."""
    return digest({"step": step})
