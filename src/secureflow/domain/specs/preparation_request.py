"""A data scientist's request to fit a preparation over several owners' data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.specs.base import Column
from secureflow.domain.specs.heldout import HeldOut
from secureflow.domain.specs.request import REQUEST, RequestBase
from secureflow.domain.specs.steps import MAX_STEPS, PreparationStep
from secureflow.domain.specs.summed import SummedLimits, SummedNoise
from secureflow.domain.specs.targets import Label


@dataclass(frozen=True)
class PreparationRequest(RequestBase):
    """Columns and steps. Bounds, categories and the unit come from the owners' declarations.

    `columns` are those that are read, in the order of the table before the first step.
    """

    __pydantic_config__ = REQUEST
    columns: Annotated[
        tuple[Column, ...],
        Field(min_length=1, max_length=1024, examples=[["age", "occupation"]]),
    ]
    steps: Annotated[
        tuple[PreparationStep, ...],
        Field(
            min_length=1,
            max_length=MAX_STEPS,
            examples=[[{"step": "standardise", "columns": ["age"]}]],
        ),
    ]
    label: Label | None = None
    held_out: HeldOut | None = None
    privacy: SummedNoise | None = None
    limits: SummedLimits | None = None
    min_contributors: Annotated[int, Field(ge=1, le=256)] | None = None
    kind: Literal["preparation"] = field(default="preparation", kw_only=True)
