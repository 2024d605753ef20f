"""A data scientist's request to predict the rows of several owners, at their agents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.specs.base import Column
from secureflow.domain.specs.prediction import (
    MAX_COLUMNS,
    OUTPUTS,
    Delivery,
    Output,
    PredictionLimits,
)
from secureflow.domain.specs.request import REQUEST, Reference, RequestBase


@dataclass(frozen=True)
class PredictionRequest(RequestBase):
    """A model by its id, and what is kept of each row; the centre adds what it computes with.

    `outputs` are by default the prediction, and probabilities if the model has any. `columns` are
    columns of the owners that stand beside it in their own files, such as an id. `deliver` names
    an organisation that gets a copy of every file: every owner is asked about that.
    """

    __pydantic_config__ = REQUEST
    model: Annotated[Reference, Field(examples=["mdl_01jf2k"])]
    outputs: Annotated[tuple[Output, ...] | None, Field(min_length=1, max_length=len(OUTPUTS))] = (
        None
    )
    columns: Annotated[tuple[Column, ...] | None, Field(max_length=MAX_COLUMNS)] = None
    deliver: Delivery | None = None
    limits: PredictionLimits | None = None
    min_contributors: Annotated[int, Field(ge=1, le=256)] | None = None
    kind: Literal["prediction"] = field(default="prediction", kw_only=True)
