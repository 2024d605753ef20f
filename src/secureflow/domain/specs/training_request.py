"""A data scientist's request to train a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.specs.base import Title
from secureflow.domain.specs.compression import Compression
from secureflow.domain.specs.families import FamilyModel
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.protections import ProtectionName
from secureflow.domain.specs.request import REQUEST, RequestBase
from secureflow.domain.specs.tensors import WireType
from secureflow.domain.specs.training import (
    FeatureSpec,
    Initial,
    Release,
    Resume,
    TrainingPlan,
)
from secureflow.domain.specs.updatelimits import Limits, Quantisation


@dataclass(frozen=True)
class TrainingParts(RequestBase):
    """What is asked of a training. Omitted fields have the spec's defaults."""

    __pydantic_config__ = REQUEST
    features: FeatureSpec | None = None
    model: FamilyModel | None = None
    plan: TrainingPlan | None = None
    limits: Limits | None = None
    release: Release | None = None
    protection: ProtectionName | None = None
    quantisation: Quantisation | None = None
    privacy: Privacy | None = None
    min_contributors: Annotated[int, Field(ge=1, le=256)] | None = None
    resume: Resume | None = None
    initial: Initial | None = None
    wire: WireType | None = None
    compression: Compression | None = None
    parties: Annotated[
        tuple[Title, ...],
        Field(
            max_length=256,
            description="Members that take part in a rehearsal without a dataset",
            examples=[[]],
        ),
    ] = ()


@dataclass(frozen=True)
class TrainingRequest(TrainingParts):
    """A training job. Omitted fields have the spec's defaults.

    `parties` are members that take part in a rehearsal without a dataset.
    """

    __pydantic_config__ = REQUEST
    kind: Literal["training"] = field(default="training", kw_only=True)
