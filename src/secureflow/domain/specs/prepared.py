"""The columns that a preparation reads, as their owners declared them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, Category, Column
from secureflow.domain.specs.steps import MAX_BUCKETS
from secureflow.domain.specs.tables import Categories, ColumnType, Numbers, Texts


@dataclass(frozen=True)
class PreparedColumn:
    """A column as its owners declared it: the hull of their bounds, all of their categories."""

    __pydantic_config__ = STRICT
    column: Column
    type: Literal["number", "category", "text"]
    bounds: tuple[float, float] | None = None
    categories: Annotated[tuple[Category, ...], Field(max_length=MAX_BUCKETS)] = ()

    @property
    def held(self) -> ColumnType:
        """What the table holds there before the first step."""
        if self.type == "number":
            return Numbers(self.bounds)
        return Categories(self.categories) if self.type == "category" else Texts()
