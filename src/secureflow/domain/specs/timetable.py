"""The spec of a timetable: one job of any other kind, run again and again at times that it names.

The spec holds the whole spec of a run, the time of the first one, the seconds between two, and how
many there are, so that an approval of the timetable covers exactly these runs and no other.
`TimetableSpec.parts` derives each of them: it differs from the others in number, name and time
alone, and a party derives it itself. A run begins at its time or within the window after it, or it
is left out.

Runs compute the same on nearly the same rows: of two sums, one of which lacks a party, the
difference would be that party's. Without differential privacy every sum is over all parties.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field

from secureflow.domain.bounds import Bounds
from secureflow.domain.budgets import PrivacyUnit
from secureflow.domain.partyengines import EngineNeeded
from secureflow.domain.specs.base import STRICT, JobSpec, Slug, SpecBase, refuse
from secureflow.domain.specs.contributors import any_contributes
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.kind import Fact, SpecKind
from secureflow.domain.specs.leavingrows import part_problem
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.domain.specs.partforms import MOST_RUNS, CodePart, Part, Patience
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.psi import PsiSpec
from secureflow.domain.specs.rosterrules import missing_problem
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.timetable_request import (
    LEAST_SECONDS,
    LONGEST_SECONDS,
    TimetableRequest,
)
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.text import Text

NAME: Final = "timetable"
LONGEST_NAME: Final = 190
"""Most characters of its name: its runs are called after it, with their numbers."""

Run = Annotated[
    TrainingSpec
    | StatisticsSpec
    | PreparationSpec
    | EvaluationSpec
    | PredictionSpec
    | PsiSpec
    | MpcSpec,
    Field(discriminator="kind"),
]
"""What a timetable runs: a job that starts no others."""


@dataclass(frozen=True)
class Times:
    """`partforms.Times`: when runs start.

    Args:
        first: unix seconds of the first run.
        every: seconds from each to the next.
        runs: how many there are.
        window: seconds after its time within which a run may begin.
    """

    __pydantic_config__ = STRICT
    first: Annotated[int, Field(ge=1, le=1 << 40)]
    every: Annotated[int, Field(ge=LEAST_SECONDS, le=LONGEST_SECONDS)]
    runs: Annotated[int, Field(ge=1, le=MOST_RUNS)]
    window: Annotated[int, Field(ge=60, le=LONGEST_SECONDS)]

    def at(self, number: int) -> int:
        """Return the unix seconds at which a run, counted from 1, starts."""
        return self.first + (number - 1) * self.every

    @property
    def last(self) -> int:
        """Unix seconds at which the last run starts."""
        return self.at(self.runs)

    @property
    def ends(self) -> int:
        """Unix seconds until which an approval holds: the last run has as long as the others."""
        return self.at(self.runs + 1)


@dataclass(frozen=True)
class TimetablePrivacy:
    """What all runs have in common under differential privacy.

    Args:
        delta: δ of each figure.
        unit: whose presence is hidden.
        noise: who adds it.
        epsilon: upper bound on the cost of all runs at `delta`, by RDP (`rdp-cks20`).
    """

    __pydantic_config__ = STRICT
    delta: Annotated[float, Field(ge=1e-15, le=1e-2)]
    unit: PrivacyUnit
    noise: Slug
    epsilon: Annotated[float, Field(ge=1e-3, le=1e4)] | None = None


@dataclass(frozen=True)
class TimetableSpec(SpecBase):
    """A timetable as every contributor signs it.

    Args:
        job: the spec of a run, whole, but for its number, its name and its time.
        timetable: when runs start.
        stop_on_failure: whether the first run that fails ends the timetable.
        privacy: of the runs.
    """

    __pydantic_config__ = STRICT
    job: Run
    timetable: Times
    stop_on_failure: bool = False
    privacy: TimetablePrivacy | None = None
    protection: Literal["none"] = "none"
    kind: Literal["timetable"] = "timetable"
    script: Literal["timetable/1"] = "timetable/1"
    v: Literal[1] = 1

    @property
    def times(self) -> Times:
        """When runs start."""
        return self.timetable

    def parts(self, job: str) -> tuple[JobSpec, ...]:
        """Return the specs of the runs of the timetable with this id, in order.

        Without an id it is one run without its time: they are all alike.
        """
        return self._unnamed if not job else self._runs(job)

    def _runs(self, job: str) -> tuple[JobSpec, ...]:
        return tuple(self.run(job, number) for number in range(1, self.times.runs + 1))

    @cached_property
    def _unnamed(self) -> tuple[JobSpec, ...]:
        return (replace(self.job, name=title_of(self.name, 1)),)

    def run(self, job: str, number: int) -> JobSpec:
        """Return the spec of a run, counted from 1, of the timetable with this id."""
        at = self.times.at(number)
        return replace(
            self.job,
            name=title_of(self.name, number),
            not_before=at,
            not_after=at + self.times.window,
            part_of=Part(job, number),
        )

    def starting_at(self, not_before: int) -> Self:
        """Return the same with its first run at another time (unix seconds)."""
        return replace(self, timetable=replace(self.timetable, first=not_before))

    @property
    def limits(self) -> Patience:
        """Those of a run."""
        return self.job.limits

    @property
    def min_contributors(self) -> int:
        """The fewest contributors whose sum any run opens."""
        return self.job.min_contributors

    @property
    def dated(self) -> bool:
        """Whether only an older version drafts such a run."""
        return self.job.dated

    @property
    def of_0_2_0(self) -> bool:
        """Whether version 0.2.0 drafted the run."""
        return self.job.of_0_2_0

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that a run uses."""
        return self.job.column_names

    def columns_of(self, party: str) -> tuple[str, ...]:
        """Return every column that a run uses of a party."""
        return self.job.columns_of(party)

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """The number columns and what their values are clamped to."""
        return self.job.bounds

    @property
    def reads_rows(self) -> bool:
        """Whether runs read rows at all."""
        return self.job.reads_rows

    @property
    def splits_by_key(self) -> bool:
        """Whether runs hold rows out by the owners' keys."""
        return self.job.splits_by_key

    @property
    def tells_rows(self) -> bool:
        """Whether anyone learns the exact number of a party's rows."""
        return self.job.tells_rows

    @property
    def all_private(self) -> bool:
        """Whether every number that runs release is differentially private."""
        return self.job.all_private

    @property
    def planned_rounds(self) -> int:
        """The most rounds of all runs together."""
        return self.job.planned_rounds * self.times.runs

    @property
    def parameters(self) -> int:
        """The timetable itself updates nothing; its runs do."""
        return 0

    def file_bytes(self, party: str) -> int:
        """Return what the files of one run take: each is another job's."""
        return self.job.file_bytes(party)

    @property
    def bases(self) -> tuple[str, ...]:
        """The models that every run stands on."""
        return self.job.bases

    @property
    def bundle(self) -> CodePart | None:
        """The code that every run brings, if any."""
        return self.job.bundle

    @property
    def engine_needed(self) -> EngineNeeded | None:
        """The engine that every run needs, if any."""
        return self.job.engine_needed

    def facts(self) -> Mapping[str, Any]:
        """Return what runs and how often, for policies; and a run's own facts, for other rules."""
        times = self.times
        own = {"of": self.job.kind, "runs": times.runs, "every": times.every, "until": times.last}
        return {**self.job.facts(), **own}


OWN_FACTS: Final[Mapping[str, Fact]] = {
    "of": "text",
    "runs": "number",
    "every": "number",
    "until": "number",
}
"""Policy attributes that only timetables have."""


def title_of(name: str, number: int) -> str:
    """Return the name of a run, and of its model."""
    return f"{name} #{number}"


def timetable_kind(*kinds: SpecKind) -> SpecKind:
    """Return the kind of timetables of jobs of these kinds."""
    checks = {kind.name: kind.check for kind in kinds}

    def check(spec: TimetableSpec) -> None:
        checks[spec.job.kind](spec.job)
        refuse(part_problem(spec.job))
        check_timetable(spec)

    return SpecKind(NAME, TimetableSpec, TimetableRequest, check, OWN_FACTS)


def check_timetable(spec: TimetableSpec) -> None:
    """Refuse contradictions between a timetable and its run.

    Raises:
        SecureFlowError: `contradictory_spec` naming the field and the reason.
    """
    run, times = spec.job, spec.times
    heads = [(one.project, one.name, one.purpose, one.submitter, one.roster) for one in (spec, run)]
    if heads[0] != heads[1]:
        reason: str = "it has another name, project, purpose, submitter or roster than its run"
        refuse(("job", reason, "Runs differ in number and time only."))
    timed = (run.not_before, run.not_after, run.part_of)
    if timed != (None, None, None) or spec.not_before is not None or spec.part_of is not None:
        refuse(("job", "its time is not that of the timetable", "Name times in `timetable` only."))
    if times.window > times.every:
        refuse(("timetable.window", "two runs could begin at once", "Make it at most `every`."))
    if times.every * times.runs > LONGEST_SECONDS:
        days = LONGEST_SECONDS // 86_400
        reason = Text("its runs take more than {days} days", days=days)
        refuse(("timetable.runs", reason, "Consent is for a time: submit it again afterwards."))
    if len(spec.name) > LONGEST_NAME:
        reason = Text("it has more than {count} characters", count=LONGEST_NAME)
        refuse(("name", reason, "Its jobs are called after it, with their numbers."))
    _check_sums(spec)


def _check_sums(spec: TimetableSpec) -> None:
    own, each = spec.privacy, spec.job.privacy
    common = None if own is None else (own.delta, own.unit, own.noise)
    if common != (None if each is None else (each.delta, each.unit, each.noise)):
        reason = "it says something else than the run's own"
        refuse(("privacy", reason, "δ, unit and placement of the noise are those of each run."))
    if spec.times.runs > 1 and any_contributes(spec.job):
        reason = (
            "without differential privacy, the sums of two runs tell the contribution of a party "
            "that is missing in one of them"
        )
        refuse(missing_problem(spec.job, reason))
