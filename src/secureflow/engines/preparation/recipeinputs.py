"""A private job's inputs that a recipe makes: computed from the columns that it reads, on request.

A recipe makes up to 1,024 numbers of a few columns, and its submitter chooses how many. Kept whole,
they could be made just too many for a process that one more row then ends: `encoded`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.recipe import Recipe
from secureflow.domain.specs.training import FeatureSpec
from secureflow.engines.preparation.columns import Columns
from secureflow.engines.preparation.moments import Moments
from secureflow.engines.preparation.recipe import made_of
from secureflow.engines.preparation.steps.values import Values, read_values
from secureflow.engines.preparation.target import plain_numbers

Index = NDArray[np.int64]


def scaled_numbers(
    features: FeatureSpec, moments: Moments, columns: Columns, rows: int
) -> NDArray[np.float32]:
    """Return the number features of rows, float32 (rows, numbers); no cell makes it fail.

    Args:
        features: the job's.
        moments: of its numbers.
        columns: each of the features.
        rows: how many there are.
    """
    numbers = np.zeros((rows, len(features.numeric)), np.float32)
    for at, feature in enumerate(features.numeric):
        values = np.clip(plain_numbers(columns[feature.column]), *feature.bounds)
        scaled = (values - moments.mean[at]) / moments.std[at]
        numbers[:, at] = np.where(np.isfinite(scaled), scaled, feature.filled)
    return numbers


@dataclass(frozen=True)
class RecipeInputs:
    """The inputs of some rows.

    Args:
        recipe: makes them.
        features: the job's.
        moments: of its numbers.
        values: the columns that the recipe reads.
    """

    recipe: Recipe
    features: FeatureSpec
    moments: Moments
    values: Values

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.values.values())))

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and of inputs."""
        return len(self), len(self.features.numeric)

    def only(self, rows: Index) -> RecipeInputs:
        """Return those of some rows."""
        values: dict[str, NDArray[Any]] = {name: held[rows] for name, held in self.values.items()}
        return RecipeInputs(self.recipe, self.features, self.moments, values)

    def inputs(self, rows: Index) -> NDArray[np.float32]:
        """Return them, float32 (len(rows), inputs)."""
        made = made_of(self.recipe, self.only(rows).values, strict=False, numbers=np.float32)
        return scaled_numbers(self.features, self.moments, made, len(rows))


def recipe_inputs(
    recipe: Recipe, features: FeatureSpec, moments: Moments, columns: Columns
) -> RecipeInputs:
    """Return the inputs of all rows; no cell makes it fail.

    Raises:
        SecureFlowError: `missing_column`.
    """
    values = read_values(recipe.columns, columns, strict=False)
    return RecipeInputs(recipe, features, moments, values)
