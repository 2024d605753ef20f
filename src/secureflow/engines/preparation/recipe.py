"""A recipe: the fitted steps of a preparation, as a document that is named by its digest.

It is canonical JSON (RFC 8785); its digest is the BLAKE3 of these bytes, under which the platform
stores it. Whoever has it prepares rows bit for bit as every other does: agents, evaluation, the
SDK. It holds no rows, but it holds what was released of them: the explanation lists it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from pydantic import Field

from secureflow.domain.specs.base import STRICT, Digest, Id, dump, parse
from secureflow.domain.specs.preparation import PreparationSpec, PreparedColumn
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
)
from secureflow.domain.specs.targets import Label
from secureflow.engines.preparation.columns import Columns, malformed_cell
from secureflow.engines.preparation.fitting import Progress
from secureflow.engines.preparation.steps import STEPS
from secureflow.engines.preparation.steps.step import Rows
from secureflow.engines.preparation.steps.values import Values, read_values
from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_BYTES: Final = 32 << 20
"""Most bytes of a recipe."""
_MAX_DEPTH: Final = 12


@dataclass(frozen=True)
class Output:
    """A column after the last step."""

    __pydantic_config__ = STRICT
    name: Annotated[str, Field(min_length=1, max_length=600)]
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

    def bytes(self) -> bytes:
        """Return the document."""
        return canonical_bytes(dump(self))

    @property
    def digest(self) -> str:
        """The hex BLAKE3 digest of the document."""
        return blake3(self.bytes()).hexdigest()


def recipe_of(spec: PreparationSpec, job: str, spec_digest: str, progress: Progress) -> Recipe:
    """Return the recipe of a preparation whose rounds are over."""
    if any(fit is None for fit in progress.fits):
        raise AssertionError(job)  # the caller has run all rounds
    fits = tuple(dict(fit) for fit in progress.fits if fit is not None)
    made = _after_all(spec.table, spec.steps, fits)
    return Recipe(
        job=job,
        spec=spec_digest,
        columns=spec.columns,
        steps=spec.steps,
        fits=fits,
        outputs=tuple(Output(name, _type(held)) for name, held in made.items()),
        label=spec.label,
        rows=progress.rows,
        private=spec.privacy is not None,
    )


def read_recipe(document: bytes, digest: str = "") -> Recipe:
    """Parse a recipe from outside.

    Args:
        document: the bytes.
        digest: what they must have, if the caller knows it.

    Raises:
        SecureFlowError: `invalid_recipe`, `digest_mismatch`.
    """
    if len(document) > MAX_BYTES:
        raise _invalid(Text("it has more than {most} bytes", most=MAX_BYTES))
    if digest and blake3(document).hexdigest() != digest:
        raise SecureFlowError(
            "digest_mismatch",
            "The recipe does not have the digest by which it is named.",
            "Fetch it again; if it stays so, its store is damaged.",
        )
    recipe = parse(Recipe, parse_json(document, MAX_BYTES), "recipe")
    _check(recipe)
    return recipe


def apply_recipe(recipe: Recipe, columns: Columns, *, strict: bool) -> Values:
    """Return the columns that a recipe makes of rows, by name.

    Args:
        recipe: parsed, or just fitted.
        columns: every column that it reads.
        strict: whether a cell that fits nothing is an error; otherwise it counts as missing.

    Raises:
        SecureFlowError: `missing_column`; if strict `malformed_cell`, `unknown_category`.
    """
    table: Table = recipe.table
    values = read_values(recipe.columns, columns, strict=strict)
    for step, fit in zip(recipe.steps, recipe.fits, strict=True):
        written = STEPS[step.step].apply(step, Rows(table, values), fit, strict)
        table = after(step, table, fit)
        values = {name: written[name] if name in written else values[name] for name in table}
    return values


def recipe_matrix(recipe: Recipe, columns: Columns, *, strict: bool) -> NDArray[np.float32]:
    """Return a model's inputs, float32 (rows, outputs), C-contiguous, for a `numeric` recipe.

    Raises:
        SecureFlowError: as `apply_recipe`; if strict `malformed_cell` for a cell that is still
            missing after the last step; otherwise it is 0.
    """
    values = apply_recipe(recipe, columns, strict=strict)
    found = np.column_stack([values[name] for name in recipe.made])
    missing = np.isnan(found)
    if strict and missing.any():
        row, at = np.argwhere(missing)[0].tolist()
        reason = "it is still missing after the last step of the recipe"
        raise malformed_cell(recipe.made[at], row, reason)
    return np.ascontiguousarray(np.where(missing, 0.0, found), np.float32)


def _after_all(
    table: Table, steps: tuple[Any, ...], fits: tuple[Mapping[str, Any], ...]
) -> dict[str, ColumnType]:
    for step, fit in zip(steps, fits, strict=True):
        table = after(step, table, fit)
    return dict(table)


def _type(held: ColumnType) -> Literal["number", "category", "text"]:
    if isinstance(held, Numbers):
        return "number"
    return "category" if isinstance(held, Categories) else "text"


def _check(recipe: Recipe) -> None:
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
    made = tuple(Output(name, _type(held)) for name, held in table.items())
    if made != recipe.outputs:
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
    if step.step == "select" and not set(fit["kept"]) <= set(names):
        raise ValueError(step.step)
    if step.step == "standardise" and any(one["std"] <= 0 for one in columns.values()):
        raise ValueError(step.step)
    _finite(fit, _MAX_DEPTH)


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
    if isinstance(value, float) and not np.isfinite(value):
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
