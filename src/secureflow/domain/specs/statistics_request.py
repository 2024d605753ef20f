"""A data scientist's request for statistics over several owners' data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT
from secureflow.domain.specs.request import REQUEST, RequestBase
from secureflow.domain.specs.statistics import Sharing, StatisticsLimits, StatisticsQuery


@dataclass(frozen=True)
class NoiseRequest:
    """The part of `StatisticsPrivacy` that an analyst chooses; the centre adds the owners' unit.

    Without a `noise_multiplier` it is calibrated from `epsilon`.
    """

    __pydantic_config__ = STRICT
    delta: Annotated[float, Field(ge=1e-15, le=1e-2)]
    noise: Sharing = "shared"
    mechanism: Literal["gaussian", "laplace"] = "gaussian"
    library: Literal["opendp", "pydp"] = "opendp"
    noise_multiplier: Annotated[float, Field(ge=0.1, le=1e6)] | None = None
    epsilon: Annotated[float, Field(ge=1e-3, le=100.0)] | None = None


@dataclass(frozen=True)
class StatisticsRequest(RequestBase):
    """Queries over several owners' data, and how much they may cost.

    Bounds, categories, the unit and how many of its rows count come from the owners' declarations;
    there are no fields for them.
    """

    __pydantic_config__ = REQUEST
    queries: Annotated[
        tuple[StatisticsQuery, ...],
        Field(
            min_length=1,
            max_length=256,
            examples=[[{"name": "mean-age", "measure": "mean", "column": "age", "by": "sex"}]],
        ),
    ]
    privacy: Annotated[NoiseRequest, Field(examples=[{"epsilon": 1.0, "delta": 1e-6}])]
    limits: StatisticsLimits | None = None
    min_contributors: Annotated[int, Field(ge=1, le=256)] | None = None
    kind: Literal["statistics"] = field(default="statistics", kw_only=True)
