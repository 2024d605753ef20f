"""A recipe: the fitted steps of a preparation, as a document that is named by its digest.

It is canonical JSON (RFC 8785); its digest is the BLAKE3 of these bytes, under which the platform
stores it. Whoever has it prepares rows bit for bit as every other does: agents, evaluation, the
SDK. It holds no rows, but it holds what was released of them: the explanation lists it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.recipe import FETCH_AGAIN, Recipe, check_recipe, outputs_of
from secureflow.domain.specs.tables import tables
from secureflow.domain.specs.training import FeatureSpec
from secureflow.engines.preparation.columns import Columns, malformed_cell
from secureflow.engines.preparation.fitting import Progress, applied
from secureflow.engines.preparation.steps.step import Rows
from secureflow.engines.preparation.steps.values import Values, read_values
from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_BYTES: Final = 32 << 20
"""Most bytes of a recipe."""


def recipe_of(spec: PreparationSpec, job: str, spec_digest: str, progress: Progress) -> Recipe:
    """Return the recipe of a preparation whose rounds are over.

    Raises:
        SecureFlowError: `recipe_empty` if a selection dropped every column.
    """
    if any(fit is None for fit in progress.fits):
        raise AssertionError(job)  # the caller has run all rounds
    fits = tuple(dict(fit) for fit in progress.fits if fit is not None)
    table = tables(spec.table, spec.steps, fits)[-1]
    if not table:
        raise SecureFlowError(
            "recipe_empty",
            Text("The steps of {job} left no column: a selection dropped them all.", job=job),
            "Lower its threshold, or name columns that say more.",
        )
    return Recipe(
        job=job,
        spec=spec_digest,
        columns=spec.columns,
        steps=spec.steps,
        fits=fits,
        outputs=outputs_of(table),
        label=spec.label,
        rows=progress.rows,
        private=spec.privacy is not None,
    )


def recipe_bytes(recipe: Recipe) -> bytes:
    """Return the document: canonical JSON."""
    return canonical_bytes(dump(recipe))


def recipe_digest(recipe: Recipe) -> str:
    """Return the hex BLAKE3 digest of the document, by which it is named."""
    return blake3(recipe_bytes(recipe)).hexdigest()


def read_recipe(document: bytes, digest: str = "") -> Recipe:
    """Parse a recipe from outside.

    Args:
        document: the bytes.
        digest: what they must have, if the caller knows it.

    Raises:
        SecureFlowError: `invalid_recipe`, `digest_mismatch`.
    """
    if len(document) > MAX_BYTES:
        raise SecureFlowError(
            "invalid_recipe",
            Text(
                "The recipe is not valid: {reason}.",
                reason=Text("it has more than {most} bytes", most=MAX_BYTES),
            ),
            FETCH_AGAIN,
        )
    if digest and blake3(document).hexdigest() != digest:
        raise SecureFlowError(
            "digest_mismatch",
            "The recipe does not have the digest by which it is named.",
            "Fetch it again; if it stays so, its store is damaged.",
        )
    recipe = parse(Recipe, parse_json(document, MAX_BYTES), "recipe")
    check_recipe(recipe)
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
    values = read_values(recipe.columns, columns, strict=strict)
    return made_of(recipe, values, strict=strict)


def made_of(
    recipe: Recipe, values: Values, *, strict: bool, numbers: type[np.floating[Any]] = np.float64
) -> Values:
    """Return the columns that a recipe makes of the table before its first step.

    No more than a block of rows is in memory at any step but the last one.

    Args:
        recipe: parsed, or just fitted.
        values: as `read_values` returns them.
        strict: as in `apply_recipe`.
        numbers: the dtype of number columns.
    """
    found: dict[str, NDArray[Any]] = {}
    every = Rows(recipe.table, values)
    widest = max(map(len, tables(recipe.table, recipe.steps, recipe.fits)))
    for some in every.blocks(widest):
        *_, (_, _, rows) = applied(recipe, recipe.fits, some, strict=strict)
        for name, held in rows.values.items():
            dtype = numbers if held.dtype == np.float64 else held.dtype
            column = found.setdefault(name, np.empty(len(every), dtype))
            with np.errstate(over="ignore"):  # `recipe_problem` refuses such bounds
                column[some.first : some.first + len(some)] = held
    return found


def prepared_columns(features: FeatureSpec, columns: Columns) -> Columns:
    """Return the columns that a model's inputs are made of: those that the job's recipe makes.

    The label and the rows' weight stay as they are; without a recipe so do all.

    Raises:
        SecureFlowError: as strict `apply_recipe`; `malformed_cell` for a cell that is still missing
            after the last step of the recipe.
    """
    recipe = features.recipe
    if recipe is None:
        return columns
    values = read_values(recipe.columns, columns, strict=True)
    # A model's inputs are float32: bounds that a number is clamped to later round as it does.
    made = made_of(recipe, values, strict=True, numbers=np.float32)
    for name, column in made.items():
        missing = np.isnan(column)
        if missing.any():
            reason = "it is still missing after the last step of the recipe"
            raise malformed_cell(name, int(missing.argmax()), reason)
    others = {name: columns[name] for name in features.beside_recipe if name in columns}
    return {**made, **others}
