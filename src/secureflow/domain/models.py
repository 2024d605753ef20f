"""Models: versions that jobs released, with their lineage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Upload:
    """Uploaded weights: BLAKE3 over the raw float32 vector, which is their address, and bytes."""

    digest: str
    size: int


@dataclass(frozen=True)
class Model:
    """A released model. `digest` is BLAKE3 over the raw float32 parameters.

    `artifact` is the content address (BLAKE3) of the parameters' file; `card` the JSON model card;
    `parents` the models it was made from, as `JOB@ROUND`.
    """

    id: str
    project: str
    job: str
    name: str
    version: int
    digest: str
    artifact: str
    family: str
    metrics: dict[str, float]
    created: int
    parents: tuple[str, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)
