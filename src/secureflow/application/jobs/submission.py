"""The result of a dry run or a submission."""

from __future__ import annotations

from dataclasses import dataclass, field

from secureflow.application.jobs.preview import Preview
from secureflow.kit.canonical import JSON


@dataclass(frozen=True)
class Submission:
    """The result of a dry run or a submission: digest, checks and expected disclosure.

    `texts` has, under `notes`, the template and facts of each note, or null; `preview` what is
    shown while a job is drawn.
    """

    digest: str
    spec: dict[str, JSON]
    notes: tuple[str, ...] = ()
    details: dict[str, JSON] = field(default_factory=dict)
    texts: dict[str, JSON] = field(default_factory=dict)
    preview: Preview | None = None
