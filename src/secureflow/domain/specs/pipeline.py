"""The spec of a pipeline: a graph of jobs of other kinds, one after the other, as one job.

The spec holds the whole spec of every step, so that an approval of the pipeline covers exactly
these jobs. What a step takes from another one comes over an *edge* (`domain.specs.ports`): until
then something provisional stands there, of the type and width of what is to come. `PipelineSpec.
due` derives a part from what came out of the steps before it, and says why nothing is due; parties
call it with their own records. Steps run in the order in which they are listed, and each may be
tried again `attempts` times in all if it failed.

Steps compute on the same rows, or on those that matched in an intersection (`matchedrows`): of two
sums, one of which lacks a party, the difference would be that party's. Without differential privacy
every sum is over all parties.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field

from secureflow.domain.bounds import Bounds
from secureflow.domain.budgets import PrivacyUnit
from secureflow.domain.partyengines import EngineNeeded
from secureflow.domain.specs.base import (
    STRICT,
    UNLESS_NONE,
    JobSpec,
    Slug,
    SpecBase,
)
from secureflow.domain.specs.conditions import Condition, Gate, Signed, skipped_by
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.domain.specs.outputs import Given, filled, outputs_in
from secureflow.domain.specs.partforms import Part, PartProblem, PartRecord
from secureflow.domain.specs.pipeline_request import MOST_ATTEMPTS, MOST_STEPS
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.psi import PsiSpec
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.text import Text

NAME: Final = "pipeline"
MOST_EDGES: Final = 16
"""Most edges that lead to one step."""
SUCCEEDED: Final = "succeeded"
SKIPPED: Final = "skipped"
"""The state of a step whose condition does not hold, or that needs one which is skipped."""

StepSpec = Annotated[
    TrainingSpec
    | StatisticsSpec
    | PreparationSpec
    | EvaluationSpec
    | PredictionSpec
    | PsiSpec
    | MpcSpec,
    Field(discriminator="kind"),
]
"""What a step runs: a job that starts no others."""


@dataclass(frozen=True)
class Edge:
    """What a step takes from one before it.

    Args:
        input: of this step (`ports.PORTS`); several edges may lead to one that takes many.
        step: the id of the step that gives it.
        output: of that step.
    """

    __pydantic_config__ = STRICT
    input: Slug
    step: Slug
    output: Slug


@dataclass(frozen=True)
class PipelineStep:
    """A step.

    Args:
        id: its name within the pipeline.
        job: its spec, whole; what comes over edges is provisional.
        takes: the edges that lead to it, those of one input in the order of their places.
        needs: the ids of steps of which it takes nothing, and without which it does not run.
        when: what a figure of an earlier evaluation must reach; otherwise it is skipped.
    """

    __pydantic_config__ = STRICT
    id: Slug
    job: StepSpec
    takes: Annotated[tuple[Edge, ...], Field(max_length=MOST_EDGES)] = ()
    needs: Annotated[
        tuple[Slug, ...], Field(max_length=MOST_STEPS, exclude_if=lambda value: not value)
    ] = ()
    when: Annotated[Condition | None, UNLESS_NONE] = None

    @property
    def before(self) -> frozenset[str]:
        """The ids of the steps without which it does not run."""
        named = {*self.needs, *(one.step for one in self.takes)}
        return frozenset(named if self.when is None else {*named, self.when.step})

    def model_of(self, step: str | None) -> int | None:
        """Return which of its models another step gives, from 0; None if none does.

        Args:
            step: the one that trains it; None for the only model of this one.
        """
        if step is None:
            return 0 if len(getattr(self.job, "models", ())) == 1 else None
        found = (at for edge, at in self.places() if (edge.input, edge.step) == ("models", step))
        return next(found, None)

    def places(self) -> Iterator[tuple[Edge, int]]:
        """Yield each edge, and which of those to its input it is, from 0."""
        for at, edge in enumerate(self.takes):
            yield edge, sum(other.input == edge.input for other in self.takes[:at])


@dataclass(frozen=True)
class PipelinePrivacy:
    """What the steps that are differentially private have in common.

    Args:
        delta: δ of each figure of any step.
        unit: whose presence is hidden.
        noise: who adds it; `mixed` if that differs.
        epsilon: upper bound on the cost of all attempts at all steps, by RDP (`rdp-cks20`).
    """

    __pydantic_config__ = STRICT
    delta: Annotated[float, Field(ge=1e-15, le=1e-2)]
    unit: PrivacyUnit
    noise: Slug
    epsilon: Annotated[float, Field(ge=1e-3, le=1e4)] | None = None


@dataclass(frozen=True)
class PipelineLimits:
    """The patience with which parties are asked about the pipeline itself."""

    __pydantic_config__ = STRICT
    patience_seconds: Annotated[float, Field(gt=0.0, le=86_400.0)] = 60.0


@dataclass(frozen=True)
class PipelineSpec(SpecBase):
    """A pipeline as every contributor signs it.

    Args:
        steps: in the order in which they run.
        attempts: how often each may be tried.
        limits: of the pipeline itself; each step has its own.
        privacy: of the steps that have any.
    """

    __pydantic_config__ = STRICT
    steps: Annotated[tuple[PipelineStep, ...], Field(min_length=1, max_length=MOST_STEPS)]
    attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] = 1
    limits: PipelineLimits = field(default_factory=PipelineLimits)
    privacy: Annotated[PipelinePrivacy | None, UNLESS_NONE] = None
    protection: Literal["none"] = "none"
    kind: Literal["pipeline"] = "pipeline"
    script: Literal["pipeline/1"] = "pipeline/1"
    v: Literal[1] = 1

    # --- its parts -----------------------------------------------------------------------------

    def parts(self, job: str) -> tuple[JobSpec, ...]:
        """Return the specs of the steps as they were approved, with what is provisional in them."""
        del job
        return self._templates

    @cached_property
    def _templates(self) -> tuple[JobSpec, ...]:
        return tuple(one.job for one in self.steps)

    def number(self, place: int, attempt: int) -> int:
        """Return the number of a part: of the step at a place, and an attempt; both from 1."""
        return (place - 1) * self.attempts + attempt

    def place(self, number: int) -> tuple[int, int]:
        """Return the place of a part's step, and which attempt it is; both from 1."""
        place, attempt = divmod(number - 1, self.attempts)
        return place + 1, attempt + 1

    def numbers(self, place: int) -> range:
        """Return the numbers of all attempts at the step at a place, from 1."""
        return range(self.number(place, 1), self.number(place, self.attempts) + 1)

    def place_of(self, step: str) -> int:
        """Return the place of a step by its id, from 1."""
        return next(at for at, one in enumerate(self.steps, 1) if one.id == step)

    def derived(self, job: str, number: int, given: Mapping[str, Given]) -> JobSpec:
        """Return the spec of a part, filled with what the steps before it gave.

        Args:
            job: the pipeline's id.
            number: of the part.
            given: by step.

        Raises:
            SecureFlowError: those of `outputs.filled`.
        """
        place, attempt = self.place(number)
        step = self.steps[place - 1]
        spec: Any = step.job
        for edge, at in step.places():
            spec = filled(spec, edge.input, at, given[edge.step])
        part = Part(job, number, step.id)
        return replace(spec, name=title_of(self.name, step.id, attempt), part_of=part)  # type: ignore[no-any-return]

    def due(self, job: str, number: int, offered: JobSpec, record: PartRecord) -> JobSpec:
        """Return the spec of the part that is due, from a party's own record.

        Args:
            job: the pipeline's id.
            number: of the part that is offered.
            offered: what the centre says it is: values are taken of it where this party has signed
                their digests.
            record: what this party knows of earlier parts.

        Raises:
            PartProblem: why it is not due.
            SecureFlowError: those of `outputs.filled`.
        """
        if not 1 <= number <= len(self.steps) * self.attempts:
            raise PartProblem(Text("it has {count} steps", count=len(self.steps)))
        place, _ = self.place(number)
        skipped = self.skips(record.signed)
        if (why := skipped.get(self.steps[place - 1].id)) is not None:
            step = self.steps[place - 1].id
            told = Text("its step {step} is skipped: {why}", step=step, why=why)
            raise PartProblem(told, contradicts=True)
        for earlier in range(1, place):
            if self._done(earlier, record) is None and self.steps[earlier - 1].id not in skipped:
                step = self.steps[earlier - 1].id
                raise PartProblem(Text("its step {step} has not ended here", step=step))
        self._check_again(place, number, record)
        return self.derived(job, number, self._given(place, offered, record))

    def decides(self, step: str) -> bool:
        """Tell whether a step runs or not by the figures of this one."""
        return any(one.when is not None and one.when.step == step for one in self.steps)

    def skips(self, signed: Signed) -> dict[str, Text]:
        """Return the steps that do not run, by what was signed so far, each with the reason.

        Args:
            signed: of a part's number, the outputs that were signed; None if none were.
        """
        return skipped_by(self.gates, signed)

    @cached_property
    def gates(self) -> tuple[Gate, ...]:
        """What decides of each step whether it runs."""
        return tuple(map(self._gate, self.steps))

    def _gate(self, step: PipelineStep) -> Gate:
        """Return what decides whether a step runs."""
        numbers = self.numbers(self.place_of(step.id))
        if step.when is None:
            return Gate(step.id, numbers, step.before)
        place = self.place_of(step.when.step)
        model = self.steps[place - 1].model_of(step.when.of)
        return Gate(step.id, numbers, step.before, step.when, self.numbers(place), model)

    def left_out(self, record: PartRecord) -> str | None:
        """Return the first step that neither succeeded nor is skipped, by what a party signed."""
        skipped = self.skips(record.signed)
        lacking = (
            step.id
            for place, step in enumerate(self.steps, 1)
            if step.id not in skipped and self._done(place, record) is None
        )
        return next(lacking, None)

    def _done(self, place: int, record: PartRecord) -> int | None:
        """Return the attempt whose outputs this party signed; None if there is none."""
        return next((one for one in self.numbers(place) if record.signed(one) is not None), None)

    def _check_again(self, place: int, number: int, record: PartRecord) -> None:
        """Refuse another attempt at a step that has succeeded, or is not known to have failed."""
        step = self.steps[place - 1].id
        for other in self.numbers(place):
            if other == number:
                continue
            outcome = record.outcome(other)
            if record.signed(other) is not None or outcome == SUCCEEDED:
                raise PartProblem(Text("its step {step} has succeeded already", step=step))
            if outcome == "":
                raise PartProblem(
                    Text("an earlier attempt at its step {step} has not ended here", step=step)
                )

    def _given(self, place: int, offered: JobSpec, record: PartRecord) -> dict[str, Given]:
        """Return what earlier steps gave, each value compared with what this party signed."""
        step = self.steps[place - 1]
        if offered.kind != step.job.kind:
            raise PartProblem(Text("its step {step} is of another kind", step=step.id))
        found: dict[str, Given] = {}
        for edge, at in step.places():
            number = self._done(self.place_of(edge.step), record)
            if number is None:
                raise PartProblem(Text("its step {step} has not ended here", step=edge.step))
            known, given = record.signed(number) or {}, outputs_in(offered, edge.input, at)
            own = given.signed() | ({"round": known["round"]} if "round" in known else {})
            if any(known.get(name) != one for name, one in own.items() if name != "round"):
                raise PartProblem(
                    Text("it does not take what its step {step} gave", step=edge.step)
                )
            values = replace(given, round=int(known.get("round", 0)))
            if edge.step in found:
                values = _merged(found[edge.step].outputs, values)
            found[edge.step] = Given(*record.part(number), values)
        return found

    # --- what all steps are together -----------------------------------------------------------

    def starting_at(self, not_before: int) -> Self:
        """Return the same, not to be started before; its steps follow one another."""
        later = tuple(replace(one, job=one.job.starting_at(not_before)) for one in self.steps)
        return replace(self, steps=later, not_before=not_before)

    def _any(self, of: Callable[[JobSpec], bool]) -> bool:
        return any(map(of, self._templates))

    @property
    def dated(self) -> bool:
        """Whether only an older version drafts one of the steps."""
        return self._any(lambda one: one.dated)

    @property
    def of_0_2_0(self) -> bool:
        """Whether version 0.2.0 drafted a step."""
        return self._any(lambda one: one.of_0_2_0)

    @property
    def min_contributors(self) -> int:
        """The fewest contributors whose sum any step opens."""
        return min(one.min_contributors for one in self._templates)

    @property
    def bases(self) -> tuple[str, ...]:
        """The models that its steps stand on, each once."""
        return tuple(dict.fromkeys(base for step in self.steps for base in step.job.bases))

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that any step uses."""
        return _unique(name for one in self._templates for name in one.column_names)

    def columns_of(self, party: str) -> tuple[str, ...]:
        """Return every column that any step uses of a party."""
        return _unique(name for one in self._templates for name in one.columns_of(party))

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """The number columns of all steps, and what their values are clamped to."""
        return tuple(dict.fromkeys(bound for one in self._templates for bound in one.bounds))

    @property
    def reads_rows(self) -> bool:
        """Whether any step reads rows."""
        return self._any(lambda one: one.reads_rows)

    @property
    def splits_by_key(self) -> bool:
        """Whether a step holds rows out by the owners' keys."""
        return self._any(lambda one: one.splits_by_key)

    @property
    def tells_rows(self) -> bool:
        """Whether anyone learns the exact number of a party's rows from a step.

        With noise in some steps, from one of those: the owner of a budget minds that.
        """
        noised = [one for one in self._templates if one.privacy is not None]
        return any(one.tells_rows for one in noised or self._templates)

    @property
    def all_private(self) -> bool:
        """Whether every number that steps release is differentially private."""
        return all(one.all_private for one in self._templates)

    @property
    def planned_rounds(self) -> int:
        """The most rounds of all steps, each tried once."""
        return sum(one.planned_rounds for one in self._templates)

    @property
    def parameters(self) -> int:
        """The pipeline itself updates nothing; its steps do."""
        return 0

    def file_bytes(self, party: str) -> int:
        """Return what the files of all steps take: results stay when the next one runs."""
        return sum(one.file_bytes(party) for one in self._templates)

    @property
    def engine_needed(self) -> EngineNeeded | None:
        """The engine that the first step which needs one needs; each step is checked as well."""
        return next((one.engine_needed for one in self._templates if one.engine_needed), None)

    def tests(self, party: str) -> Mapping[str, int]:
        """Return how many ids of each other party all attempts at all intersections test."""
        found: dict[str, int] = {}
        for one in self._templates:
            if isinstance(one, PsiSpec):
                for other in one.testers(party):
                    most = self.attempts * one.side(other).most_rows
                    found[other] = found.get(other, 0) + most
        return found

    def facts(self) -> Mapping[str, Any]:
        """Return what policies can decide on; a step's own facts are checked with the step."""
        return {
            "kinds": tuple(sorted({one.kind for one in self._templates})),
            "jobs": len(self.steps),
            "attempts": self.attempts,
        }


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _merged(one: Any, other: Any) -> Any:
    """Return what two edges from one step bring together."""
    values = {it.name: getattr(other, it.name) or getattr(one, it.name) for it in fields(one)}
    return replace(one, **values)


def title_of(name: str, step: str, attempt: int = 1) -> str:
    """Return the name of a step's job, and of its model."""
    again = f" ({attempt})" if attempt > 1 else ""
    return f"{name}: {step}{again}"
