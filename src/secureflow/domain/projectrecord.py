"""What the record of a project is told as: deeds in it, and what its parties received."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

UNKNOWN: Final = (
    "what intersections and joint computations told: their agents computed it; the spec says whom",
    "what agents send to each other over their own channels: the centre only relays the bytes",
    "who downloaded a released model, and what members pass on outside of the platform",
    "what an agent keeps or forgets: its owner asks the agent itself",
)
"""What the centre cannot know of what parties received."""


@dataclass(frozen=True)
class Activity:
    """One deed in a project. `by` is the user's pseudonymous id, `name` theirs if known.

    `index` is the leaf's number in the log, `facts` what the ledger says of it beside that.
    """

    index: int
    at: int
    kind: str
    organisation: str
    by: str = ""
    name: str = ""
    job: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ActivityPage:
    """A page of deeds, newest first; `next` is 0 at the end."""

    items: tuple[Activity, ...]
    next: int


@dataclass(frozen=True)
class Received:
    """What one party received in one job, as far as the centre knows.

    Args:
        party, job, name, kind, state: who, and in which job.
        rounds: rounds whose released model or figures it was sent, of the stage that has most:
            not the sum before a training's first round, nor that of its metrics.
        models: ids of the models that the job released; every member may download them.
        handed_over: parties whose rows or predictions were handed over to it.
        results: stages whose results its agent computed and keeps.
    """

    party: str
    job: str
    name: str
    kind: str
    state: str
    rounds: int = 0
    models: tuple[str, ...] = ()
    handed_over: tuple[str, ...] = ()
    results: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReceivedPage:
    """A page of what parties received, by job; `unknown` is what the centre cannot know."""

    items: tuple[Received, ...]
    next: str
    unknown: tuple[str, ...] = UNKNOWN
