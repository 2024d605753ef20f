"""The feed of changes: what happened, in an order in which a reader misses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from secureflow.kit.canonical import JSON

Position = tuple[int, int]
"""Where a change stands in the feed; positions of one database can be compared."""


class ChangeKind(StrEnum):
    """What changed."""

    START = "start"
    """A server of the database started."""
    JOB = "job"
    """A job's state, progress or priority; `about` is its id."""
    EVENT = "event"
    """A job, and one of its events; `about` is its id, `ref` the event's."""
    NOTIFICATION = "notification"
    """A person was told something; `about` is the user, `ref` the notification's id."""
    READ = "read"
    """A person read notifications; `about` is the user."""
    LINK = "link"
    """An agent's link came or went; `about` is the party, `data` says which."""


@dataclass(frozen=True)
class Change:
    """One change.

    `mark` is random: a number that was given again after a backup was restored, or was deleted, is
    told from the one that a reader knows.
    """

    position: Position
    mark: str
    kind: ChangeKind
    about: str
    ref: int = 0
    data: dict[str, JSON] = field(default_factory=dict)

    @property
    def cursor(self) -> str:
        """What a reader shows to go on after this change."""
        return f"{self.position[1]}-{self.mark}"


class Changes(Protocol):
    """The changes of a unit of work, and those of others that were committed.

    What is noted is written with the commit. A reader that goes on after the last change that it
    was given misses none: a change is given only when no earlier one can come any more.
    """

    def note(
        self, kind: ChangeKind, about: str, ref: int = 0, data: dict[str, JSON] | None = None
    ) -> None:
        """Note a change of this unit of work; the same one once."""

    async def open(self) -> None:
        """Begin the feed of a server that starts."""

    async def newest(self) -> Change | None:
        """Return the last change that a reader is given now."""

    async def find(self, number: int, mark: str) -> Change | None:
        """Return the change that a cursor names, if it is still known."""

    async def after(self, position: Position, limit: int = 500) -> Sequence[Change]:
        """Return the changes after a position, in order."""
