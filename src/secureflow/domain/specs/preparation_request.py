"""A data scientist's request to fit a preparation over several owners' data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, Column
from secureflow.domain.specs.preparation import PreparationLimits
from secureflow.domain.specs.request import REQUEST, RequestBase
from secureflow.domain.specs.steps import MAX_STEPS, PreparationStep
from secureflow.domain.specs.targets import Label


@dataclass(frozen=True)
class PreparationNoise:
    """The part of `PreparationPrivacy` that is chosen; the centre adds the owners' unit.

    Without a `noise_multiplier` it is calibrated from `epsilon`.
    """

    __pydantic_config__ = STRICT
    delta: Annotated[float, Field(ge=1e-15, le=1e-2)]
    noise_multiplier: Annotated[float, Field(ge=0.1, le=1e6)] | None = None
    epsilon: Annotated[float, Field(ge=1e-3, le=100.0)] | None = None


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
    privacy: PreparationNoise | None = None
    limits: PreparationLimits | None = None
    min_contributors: Annotated[int, Field(ge=1, le=256)] | None = None
    kind: Literal["preparation"] = field(default="preparation", kw_only=True)
