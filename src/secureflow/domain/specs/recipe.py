"""A recipe: the fitted steps of a preparation, as a document that later jobs name by its digest.

It holds no rows, but it holds what was released of them. Whoever applies it relies on its fits, so
that one from outside is checked against its own steps (`check_recipe`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from secureflow.domain.bounds import Bounds
from secureflow.domain.specs.base import STRICT, Digest, Id
from secureflow.domain.specs.fits import FitProblem, check_fit
from secureflow.domain.specs.prepared import PreparedColumn
from secureflow.domain.specs.stepped_rules import stepped_problem
from secureflow.domain.specs.steps import MAX_STEPS, Made, PreparationStep
from secureflow.domain.specs.tables import (
    Categories,
    ColumnType,
    Numbers,
    StepProblem,
    Table,
    after,
    tables,
)
from secureflow.domain.specs.targets import Label
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

FETCH_AGAIN: Final = "Fetch it again, or fit it anew."
"""What to do about a recipe that is not valid."""


@dataclass(frozen=True)
class Output:
    """A column after the last step."""

    __pydantic_config__ = STRICT
    name: Made
    type: Literal["number", "category", "text"]


@dataclass(frozen=True)
class Recipe:
    """The fitted steps of a preparation.

    Args:
        job: that fitted it.
        spec: the digest of that job's spec.
        columns: what it reads, as their owners declared them.
        steps: in order.
        fits: what each learned.
        outputs: the columns that it makes, in order.
        label: the target that weights of evidence are of.
        rows: of all parties, where they are no secret.
        private: whether all that it holds is differentially private.
    """

    __pydantic_config__ = STRICT
    job: Id
    spec: Digest
    columns: Annotated[tuple[PreparedColumn, ...], Field(min_length=1, max_length=1024)]
    steps: Annotated[tuple[PreparationStep, ...], Field(min_length=1, max_length=MAX_STEPS)]
    fits: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=MAX_STEPS)]
    outputs: Annotated[tuple[Output, ...], Field(min_length=1, max_length=1024)]
    label: Label | None = None
    rows: Annotated[float, Field(ge=0)] | None = None
    private: bool = False
    kind: Literal["recipe"] = "recipe"
    v: Literal[1] = 1

    @property
    def table(self) -> dict[str, ColumnType]:
        """The table before the first step."""
        return {one.column: one.held for one in self.columns}

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return tuple(one.column for one in self.columns)

    @property
    def made(self) -> tuple[str, ...]:
        """The names of the columns that it makes."""
        return tuple(one.name for one in self.outputs)

    @property
    def numeric(self) -> bool:
        """Whether all that it makes are numbers, so that a model can take them."""
        return all(one.type == "number" for one in self.outputs)

    @cached_property
    def after_all(self) -> Table:
        """The table after the last step, with bounds and categories; it has no `fault`."""
        return tables(self.table, self.steps, self.fits)[-1]

    @cached_property
    def fault(self) -> str:
        """Why columns, steps and fits do not belong together, or "": whoever applies them relies
        on them. Found once: every point of a sweep has the same recipe.
        """
        if problem := stepped_problem(self):
            return Text("{field}: {reason}", field=problem[0], reason=problem[1])
        if len(self.fits) != len(self.steps):
            return "it does not have one fit for each step"
        table: Table = self.table
        evidence: dict[str, float] = {}
        for at, (step, fit) in enumerate(zip(self.steps, self.fits, strict=True), 1):
            try:
                check_fit(step, table, fit, evidence)
                table = after(step, table, fit)
            except (FitProblem, StepProblem):
                return Text("the fit of step {at} does not belong to it", at=at)
            if step.step == "woe":
                evidence |= {name: one["iv"] for name, one in fit["columns"].items()}
        return (
            "" if outputs_of(table) == self.outputs else "its outputs are not what its steps make"
        )


def outputs_of(table: Table) -> tuple[Output, ...]:
    """Return the columns of a table as a recipe lists them."""
    return tuple(Output(name, _type(held)) for name, held in table.items())


def number_columns(recipe: Recipe) -> list[tuple[str, Bounds]]:
    """Return the number columns that a recipe makes, with their bounds."""
    made = recipe.after_all.items()
    return [(name, held.bounds) for name, held in made if isinstance(held, Numbers) and held.bounds]


def _type(held: ColumnType) -> Literal["number", "category", "text"]:
    if isinstance(held, Numbers):
        return "number"
    return "category" if isinstance(held, Categories) else "text"


def check_recipe(recipe: Recipe) -> None:
    """Refuse a recipe that has a fault.

    Raises:
        SecureFlowError: `invalid_recipe`.
    """
    if fault := recipe.fault:
        raise SecureFlowError(
            "invalid_recipe",
            Text("The recipe is not valid: {reason}.", reason=fault),
            FETCH_AGAIN,
        )
