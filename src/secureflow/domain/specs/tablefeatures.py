"""The columns of a table that a model sees: numbers, and categories."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, UNLESS_NONE, Category, Column
from secureflow.domain.specs.steps import Made


@dataclass(frozen=True)
class NumericFeature:
    """A numeric column, standardised by federated moments or scaled to declared bounds.

    Values are clamped to `bounds`; a missing value becomes the mean (federated) or the middle. With
    `scale: none` a number enters as it is: a recipe has made it what it is to be. With `missing:
    kept` a missing value stays one, for a family that learns where such rows belong.
    """

    __pydantic_config__ = STRICT
    column: Made
    bounds: tuple[float, float]
    scale: Literal["federated", "bounds", "none"] = "federated"
    missing: Annotated[Literal["kept"] | None, UNLESS_NONE] = None

    @property
    def filled(self) -> float:
        """What a missing value is in a model's inputs: NaN, or the middle."""
        return math.nan if self.missing == "kept" else 0.0


@dataclass(frozen=True)
class CategoricalFeature:
    """A categorical column, one-hot over the declared categories.

    A missing value has its own indicator when `missing` is `indicator`, else all zeros.
    """

    __pydantic_config__ = STRICT
    column: Column
    categories: Annotated[tuple[Category, ...], Field(min_length=1, max_length=4096)]
    missing: Literal["indicator", "zeros"] = "zeros"
