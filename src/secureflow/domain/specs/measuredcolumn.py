"""A column that is counted or added up, as its owners declared it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, Category, Column


@dataclass(frozen=True)
class MeasuredColumn:
    """A column as its owners declared it: the hull of their bounds, all of their categories."""

    __pydantic_config__ = STRICT
    column: Column
    type: Literal["number", "category"]
    bounds: tuple[float, float] | None = None
    categories: Annotated[tuple[Category, ...], Field(max_length=4096)] = ()
