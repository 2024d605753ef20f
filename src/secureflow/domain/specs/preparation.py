"""The spec of a preparation job: columns, steps, and what fitting them may cost.

A preparation turns an owner's columns into a model's inputs, step by step. What a step needs to
know of all parties' rows is fitted by masked sums, in as many rounds as the steps depend on one
another; the outcome, a *recipe*, is a document that later jobs name by its digest and that each
owner applies to its own rows (`engines.preparation.recipe`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from secureflow.domain.bounds import Bounds
from secureflow.domain.specs.base import STRICT, UNLESS_NONE, Problem, SpecBase, refuse
from secureflow.domain.specs.heldout import HeldOut, held_out_problem
from secureflow.domain.specs.passes import MAX_SLOTS, MAX_TOTALS, schedule
from secureflow.domain.specs.prepared import PreparedColumn
from secureflow.domain.specs.rosterrules import missing_problem, roster_problem
from secureflow.domain.specs.stepped_rules import step_place, stepped_problem
from secureflow.domain.specs.steps import MAX_STEPS, PreparationStep
from secureflow.domain.specs.summed import SummedLimits, SummedPrivacy, summed_problem
from secureflow.domain.specs.tables import ColumnType, after
from secureflow.domain.specs.targets import Label
from secureflow.kit.text import Text


@dataclass(frozen=True)
class PreparationSpec(SpecBase):
    """A preparation job as every contributor signs it.

    It is fitted to all rows but those that are `held_out` by the owners' keys.
    """

    __pydantic_config__ = STRICT
    columns: Annotated[tuple[PreparedColumn, ...], Field(min_length=1, max_length=1024)]
    steps: Annotated[tuple[PreparationStep, ...], Field(min_length=1, max_length=MAX_STEPS)]
    label: Annotated[Label | None, UNLESS_NONE] = None
    held_out: Annotated[HeldOut | None, UNLESS_NONE] = None
    privacy: SummedPrivacy | None = None
    contributions: Annotated[int, Field(ge=1, le=10_000)] = 1
    limits: SummedLimits = field(default_factory=SummedLimits)
    min_contributors: Annotated[int, Field(ge=2, le=256)] = 3
    protection: Literal["secagg"] = "secagg"
    kind: Literal["preparation"] = "preparation"
    script: Literal["preparation/1"] = "preparation/1"
    v: Literal[1] = 1

    @property
    def table(self) -> dict[str, ColumnType]:
        """The table before the first step."""
        return {one.column: one.held for one in self.columns}

    def tables(self) -> Iterator[dict[str, ColumnType]]:
        """Yield the table before each step, and the last one, at their widest.

        Raises:
            StepProblem: a step does not fit.
        """
        table = self.table
        yield table
        for step in self.steps:
            table = after(step, table)
            yield table

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that the job uses, label last."""
        label = () if self.label is None else (self.label.column,)
        return (*(one.column for one in self.columns), *label)

    @property
    def bounds(self) -> tuple[tuple[str, Bounds], ...]:
        """The number columns and what their values are clamped to."""
        return tuple((one.column, one.bounds) for one in self.columns if one.bounds is not None)

    @property
    def reads_rows(self) -> bool:
        """Every preparation is fitted to rows."""
        return True

    @property
    def tells_rows(self) -> bool:
        """Counts of rows are released as they are, unless they are noised."""
        return self.privacy is None

    @property
    def all_private(self) -> bool:
        """With differential privacy every sum is noised."""
        return self.privacy is not None

    @property
    def splits_by_key(self) -> bool:
        """Whether rows are held out by the owners' keys, which then are read as well."""
        return self.held_out is not None

    @property
    def planned_rounds(self) -> int:
        """As many as the steps depend on one another."""
        return len(schedule(self).rounds)

    @property
    def parameters(self) -> int:
        """0: there is no model."""
        return 0

    def facts(self) -> Mapping[str, Any]:
        """Return the policy attributes that only preparation jobs have."""
        return {
            "steps": tuple(sorted({step.step for step in self.steps})),
            "rounds": self.planned_rounds,
            "contributions": self.contributions,
        }


def check_preparation(spec: PreparationSpec) -> None:
    """Refuse contradictions between fields.

    Raises:
        SecureFlowError: `contradictory_spec` naming the field and the reason.
    """
    rules: tuple[Callable[[PreparationSpec], Problem | None], ...] = (
        *(_roster_rules, stepped_problem, _missing_rules, _privacy_rules, _size_rules),
    )
    refuse(next((found for rule in rules if (found := rule(spec))), None))


def _roster_rules(spec: PreparationSpec) -> Problem | None:
    return roster_problem(spec, 2) or held_out_problem(spec.held_out)


def _missing_rules(spec: PreparationSpec) -> Problem | None:
    if spec.planned_rounds == 1:
        return None
    return missing_problem(
        spec,
        "without differential privacy, the totals of two rounds tell those of a party that is "
        "missing in one of them",
    )


def _privacy_rules(spec: PreparationSpec) -> Problem | None:
    rounds = schedule(spec).rounds
    moved = max((query.moved for each in rounds for query in each), default=1)
    problem = summed_problem(spec, moved)
    if problem is not None or spec.privacy is None:
        return problem
    for at, step in enumerate(spec.steps):
        if step.step == "min_max" and step.of == "rows":
            reason = "the smallest and the largest number are each one row's, and are not private"
            return step_place(at, "of"), reason, 'Use "bounds", or clip and standardise.'
    return None


def _size_rules(spec: PreparationSpec) -> Problem | None:
    planned = schedule(spec)
    slots, every = planned.longest, planned.longest * len(planned.rounds)
    if slots > MAX_SLOTS:
        reason = Text(
            "a round adds up {slots} numbers, more than {most}", slots=slots, most=MAX_SLOTS
        )
        return "steps", reason, "Use fewer bins, or fit columns in two jobs."
    if every > MAX_TOTALS:
        reason = Text(
            "{rounds} rounds of {slots} numbers are more than {most}",
            rounds=len(planned.rounds),
            slots=slots,
            most=MAX_TOTALS,
        )
        return "steps", reason, "Use fewer bins, or fit the steps in two jobs."
    return None
