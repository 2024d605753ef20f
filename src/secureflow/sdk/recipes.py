"""What a recipe makes of rows, outside of any model: to look at it, or to go on by other means.

recipe = client.jobs.recipe(job.id)
apply_recipe(recipe, frame)      # {column: array}, the very numbers that a training sees
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.recipe import Recipe, check_recipe
from secureflow.domain.specs.tables import Categories
from secureflow.engines.preparation.recipe import apply_recipe as applied
from secureflow.sdk.inputrows import as_known, columns_of, read_for_recipe


def apply_recipe(recipe: Recipe, rows: Any) -> dict[str, NDArray[Any]]:
    """Return the columns that a recipe makes of rows, in its order.

    Numbers are float64 (rows,), NaN where a cell is missing that no step fills; categories and
    texts are object (rows,), `str` and None.

    Args:
        recipe: `client.jobs.recipe`, or a file's (`engines.preparation.recipe.read_recipe`).
        rows: as `Predictor.predict` takes them.

    Raises:
        SecureFlowError: `invalid_recipe`; `invalid_rows`; `missing_column`, `malformed_cell`,
            `unknown_category` naming row (from 1) and column.
    """
    check_recipe(recipe)
    columns = columns_of(as_known(rows), recipe.inputs)
    made = applied(recipe, read_for_recipe(recipe, columns), strict=True)
    return {
        name: _named(held.names, made[name]) if isinstance(held, Categories) else made[name]
        for name, held in recipe.after_all.items()
    }


def _named(names: tuple[str, ...], codes: NDArray[Any]) -> NDArray[Any]:
    """Return categories by their names; −1, for a missing one, is the last."""
    found = np.empty(len(names) + 1, object)
    found[: len(names)] = names
    return np.asarray(found[codes])
