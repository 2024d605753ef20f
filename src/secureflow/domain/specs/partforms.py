"""What all specs' parts have in common, whatever their kind: how others read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol, runtime_checkable

from pydantic import ConfigDict, Field

from secureflow.domain.fieldfaults import ID_PATTERN, SLUG_PATTERN

MOST_RUNS: Final = 500
"""Most jobs that one job starts: runs of a timetable."""


@dataclass(frozen=True)
class Part:
    """The job that starts this one, and which of its parts this one is, from 1.

    `step` is the id of a pipeline's step.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)
    job: Annotated[str, Field(pattern=ID_PATTERN)]
    number: Annotated[int, Field(ge=1, le=MOST_RUNS)]
    step: Annotated[
        str | None, Field(pattern=SLUG_PATTERN, exclude_if=lambda value: value is None)
    ] = None


class PartProblem(Exception):  # noqa: N818 - callers tell whose it is
    """Why a part is not due: the end of a sentence.

    Args:
        reason: why.
        contradicts: whether what this party signed says so, which no honest centre forgets.
    """

    def __init__(self, reason: str, *, contradicts: bool = False) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.contradicts = contradicts


class PartRecord(Protocol):
    """What a party knows of the parts of one job, by their numbers."""

    def outcome(self, number: int) -> str | None:
        """Return how a part ended; "" while it goes on, None if it was never approved here."""

    def signed(self, number: int) -> Mapping[str, Any] | None:
        """Return the digests of a part's outputs that this party signed; None if it did not."""

    def part(self, number: int) -> tuple[Any, str]:
        """Return the spec of an approved part, and its job's id."""


@runtime_checkable
class Stepwise(Protocol):
    """A job of several steps that succeeds only if each of them did, or is skipped."""

    def left_out(self, record: PartRecord) -> str | None:
        """Return the first step that neither succeeded nor is skipped, by a party's record."""


class Patience(Protocol):
    """The limits that every kind of job has."""

    @property
    def patience_seconds(self) -> float:
        """Seconds without progress after which a party counts as silent."""


class PrivacyPart(Protocol):
    """The common part of all kinds' differential-privacy settings."""

    @property
    def delta(self) -> float:
        """δ of every figure of the job."""

    @property
    def epsilon(self) -> float | None:
        """Upper bound on the cost of the whole job at δ, by `rdp-cks20`."""

    @property
    def unit(self) -> str:
        """Whose presence is hidden."""

    @property
    def noise(self) -> str:
        """Who adds the noise."""


class CodePart(Protocol):
    """The code that a job brings."""

    @property
    def digest(self) -> str:
        """Of the packed bundle."""

    @property
    def entry(self) -> str:
        """The class that is called, `module:Class`; or the file that an engine starts."""

    @property
    def environment(self) -> str:
        """Digest of the lock of the environment that runs it; "" where an engine does."""


class Times(Protocol):
    """When the runs of a timetable start."""

    @property
    def first(self) -> int:
        """Unix seconds of the first run."""

    @property
    def every(self) -> int:
        """Seconds from each run to the next."""

    @property
    def runs(self) -> int:
        """How many there are."""

    @property
    def ends(self) -> int:
        """Unix seconds until which an approval of all runs holds."""
