"""What a blob on a link is for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BlobPlace:
    """What a party's masked vector is for: a round of a stage of a job."""

    job: str
    stage: str
    round: int
