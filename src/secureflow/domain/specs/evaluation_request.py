"""A data scientist's request to evaluate models on several owners' data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.specs.evaluation import MAX_MODELS, Costs
from secureflow.domain.specs.heldout import HeldOut
from secureflow.domain.specs.request import REQUEST, Reference, RequestBase
from secureflow.domain.specs.summed import SummedLimits, SummedNoise


@dataclass(frozen=True)
class EvaluationRequest(RequestBase):
    """Models by their ids, and what is asked of them; the centre adds what they compute with.

    `baseline` is the id of an earlier evaluation of the same models: its spread of scores is what
    the population's stability is told against.
    """

    __pydantic_config__ = REQUEST
    models: Annotated[
        tuple[Reference, ...],
        Field(min_length=1, max_length=MAX_MODELS, examples=[["mdl_01jf2k"]]),
    ]
    held_out: HeldOut | None = None
    per_party: bool = False
    baseline: Reference | None = None
    costs: Costs | None = None
    privacy: SummedNoise | None = None
    limits: SummedLimits | None = None
    min_contributors: Annotated[int, Field(ge=1, le=256)] | None = None
    kind: Literal["evaluation"] = field(default="evaluation", kw_only=True)
