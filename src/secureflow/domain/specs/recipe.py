"""A recipe: the fitted steps of a preparation, as a document that later jobs name by its digest.

It holds no rows, but it holds what was released of them. Whoever applies it relies on its fits, so
that one from outside is checked against its own steps (`check_recipe`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, Digest, Id
from secureflow.domain.specs.prepared import PreparedColumn
from secureflow.domain.specs.steps import MAX_STEPS, PreparationStep
from secureflow.domain.specs.tables import (
    Categories,
    ColumnType,
    Numbers,
    StepProblem,
    Table,
    Texts,
    after,
    present,
    tables,
)
from secureflow.domain.specs.targets import Label
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_MAX_DEPTH: Final = 12


@dataclass(frozen=True)
class Output:
    """A column after the last step."""

    __pydantic_config__ = STRICT
    name: Annotated[str, Field(min_length=1, max_length=600), ONE_LINE]
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
    rows: float | None = None
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


def outputs_of(table: Table) -> tuple[Output, ...]:
    """Return the columns of a table as a recipe lists them."""
    return tuple(Output(name, _type(held)) for name, held in table.items())


def table_after(recipe: Recipe) -> Table:
    """Return the table that a recipe makes, with bounds and categories."""
    return tables(recipe.table, recipe.steps, recipe.fits)[-1]


def _type(held: ColumnType) -> Literal["number", "category", "text"]:
    if isinstance(held, Numbers):
        return "number"
    return "category" if isinstance(held, Categories) else "text"


def check_recipe(recipe: Recipe) -> None:
    """Refuse fits that do not belong to their steps: whoever applies them relies on them.

    Raises:
        SecureFlowError: `invalid_recipe`.
    """
    if len(recipe.fits) != len(recipe.steps):
        raise _invalid("it does not have one fit for each step")
    table: Table = recipe.table
    for at, (step, fit) in enumerate(zip(recipe.steps, recipe.fits, strict=True), 1):
        try:
            _check_fit(step, table, fit)
            table = after(step, table, fit)
        except (StepProblem, KeyError, TypeError, ValueError, IndexError, OverflowError):
            raise _invalid(Text("the fit of step {at} does not belong to it", at=at)) from None
    if outputs_of(table) != recipe.outputs:
        raise _invalid("its outputs are not what its steps make")


def _check_fit(step: Any, table: Table, fit: Mapping[str, Any]) -> None:
    """Check a fit's form, its lengths and that its numbers are finite.

    Raises:
        ValueError: it has another form; also KeyError and TypeError.
    """
    names = present(step, table)
    wanted = _FORMS.get(step.step, {})
    columns = fit["columns"]
    if step.step == "min_max" and step.of == "bounds":
        wanted = {}
    if set(columns) != (set(names) if wanted else set()) or not set(fit) <= _MEMBERS:
        raise ValueError(step.step)
    for name, one in columns.items():
        if set(one) != set(wanted):
            raise ValueError(name)
        for member, form in wanted.items():
            form(one[member], table[name])
    if step.step == "select":
        _check_selection(names, fit)
    if step.step == "standardise" and any(one["std"] <= 0 for one in columns.values()):
        raise ValueError(step.step)
    _finite(fit, _MAX_DEPTH)


def _check_selection(names: tuple[str, ...], fit: Mapping[str, Any]) -> None:
    """Check which columns stay, and what they were chosen by: a number, or one for each other."""
    values = fit["values"]
    nested = [one for one in values.values() if isinstance(one, Mapping)]
    named = set().union(fit["kept"], values, *nested)
    if not named <= set(names):
        raise ValueError(sorted(named))


_MEMBERS: Final = frozenset({"columns", "kept", "values"})


def _number(value: Any, held: ColumnType) -> None:
    del held
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError


def _filling(value: Any, held: ColumnType) -> None:
    if isinstance(held, Categories):
        if value not in held.names:
            raise ValueError
    elif isinstance(held, Texts):
        raise TypeError
    else:
        _number(value, held)


def _ascending(value: Any, held: ColumnType) -> None:
    for one in value:
        _number(one, held)
    if not isinstance(value, list) or sorted(set(value)) != value:
        raise ValueError


def _weights(value: Any, held: ColumnType) -> None:
    if not isinstance(held, Categories) or len(value) != len(held.names) + 1:
        raise ValueError
    for one in value:
        _number(one, held)


def _places(value: Any, held: ColumnType) -> None:
    if not isinstance(held, Categories) or sorted(set(value)) != value:
        raise ValueError
    if not all(type(at) is int and 0 <= at < len(held.names) for at in value):
        raise ValueError


def _flag(value: Any, held: ColumnType) -> None:
    del held
    if not isinstance(value, bool):
        raise TypeError


_FORMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "impute": {"value": _filling},
    "standardise": {"mean": _number, "std": _number},
    "min_max": {"low": _number, "high": _number},
    "quantile_bins": {"edges": _ascending},
    "width_bins": {"edges": _ascending},
    "woe": {"woe": _weights, "iv": _number},
    "one_hot": {"kept": _places, "merged": _flag},
    "yeo_johnson": {"lambda": _number},
}


def _finite(value: Any, depth: int) -> None:
    if depth == 0:
        raise ValueError
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    if isinstance(value, dict):
        for one in value.values():
            _finite(one, depth - 1)
    elif isinstance(value, list):
        for one in value:
            _finite(one, depth - 1)


def _invalid(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_recipe",
        Text("The recipe is not valid: {reason}.", reason=reason),
        "Fetch it again, or fit it anew.",
    )
