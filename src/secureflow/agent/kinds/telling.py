"""What a party tells of itself beside a masked contribution, where the spec asks for it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from secureflow.agent.kinds.kind import LocalContribution
from secureflow.agent.record.records import JobRecord
from secureflow.engines.run.messages import SelfReport


@runtime_checkable
class Telling(Protocol):
    """One party's part in jobs that may ask for such figures; besides `Contributing`."""

    def told(self, job: JobRecord, spec: Any, held: LocalContribution) -> SelfReport | None:
        """Return the figures of a round; None of a job that asks for none, or of other rounds."""


def told_beside(
    part: object, job: JobRecord, spec: Any, held: LocalContribution
) -> SelfReport | None:
    """Return what a party's part in a job tells; None of a kind that tells nothing."""
    return part.told(job, spec, held) if isinstance(part, Telling) else None
