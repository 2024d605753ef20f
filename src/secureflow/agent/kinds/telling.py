"""What a party tells of itself beside a masked contribution, where the spec asks for it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from secureflow.agent.kinds.kind import LocalContribution
from secureflow.engines.run.messages import SelfReport


@runtime_checkable
class Telling(Protocol):
    """One party's part in jobs that may ask for such figures; besides `Contributing`."""

    def told(self, spec: Any, held: LocalContribution, rows: int) -> SelfReport | None:
        """Return the figures of a round; None of a job that asks for none, or of other rounds."""


def told_beside(part: object, spec: Any, held: LocalContribution, rows: int) -> SelfReport | None:
    """Return what a party's part in a job tells; None of a kind that tells nothing.

    Args:
        part: the part.
        spec: the job's.
        held: the contribution.
        rows: behind it, by the round's record: an agent that was restarted has read none since.
    """
    return part.told(spec, held, rows) if isinstance(part, Telling) else None
