"""Models: versions that jobs released, with their lineage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from secureflow.kit.canonical import digest


@dataclass(frozen=True)
class UploadFacts:
    """Uploaded weights in a project, from which its jobs may start.

    `digest` is BLAKE3 over the raw float32 vector, `layout` that of the tensors which it holds
    (`specs.tensors.layout_digest`), `size` its bytes; `created` unix seconds.
    """

    id: str
    project: str
    digest: str
    layout: str
    organisation: str
    uploader: str
    size: int
    created: int


@dataclass(frozen=True)
class Upload(UploadFacts):
    """A row of the centre's; `expires` unix seconds, or `bundles.FOR_EVER`."""

    expires: int


@dataclass(frozen=True)
class KeptUpload(UploadFacts):
    """What people are told of uploaded weights, and how long they are kept.

    `jobs` are the unfinished jobs that start from them. As long as there are any, `expires` is
    None.
    """

    expires: int | None
    jobs: tuple[str, ...] = ()


def upload_id(project: str, weights: str, layout: str) -> str:
    """Return the id of weights in a project: the same bytes may be tensors of other names."""
    return f"upl_{digest([project, weights, layout])[:32]}"


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
