"""A data scientist's request for a pipeline: steps, and what each takes from others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, Slug
from secureflow.domain.specs.request import REQUEST, RequestBase
from secureflow.kit.canonical import JSON

MOST_STEPS: Final = 16
"""Most steps of one pipeline: people read all of it before they approve."""
MOST_ATTEMPTS: Final = 5
"""Most times that one step may be tried under one approval."""

_STEPS: Final = [
    {"id": "prepare", "kind": "preparation", "columns": ["age"],
     "steps": [{"step": "standardise", "columns": ["age"]}]},
    {"id": "train", "kind": "training", "features": {"recipe": {"step": "prepare"}}},
    {"id": "test", "kind": "evaluation", "models": [{"step": "train"}]},
]  # fmt: skip


@dataclass(frozen=True)
class StepReference:
    """What comes from another step, at the place of the input that it stands for.

    Args:
        step: the id of the step that gives it.
        output: which of its outputs; by default the one whose type the input has.
    """

    __pydantic_config__ = STRICT
    step: Slug
    output: Slug | None = None


@dataclass(frozen=True)
class PipelineRequest(RequestBase):
    """Jobs of other kinds as the steps of one: approved once, and run one after the other.

    A step has an `id`, its `kind`, and the members that only this kind has. Where its kind has an
    input (a model, a recipe), `{step: ID}` takes it from another step; `needs` lists steps that
    come before it though it takes nothing of them. `attempts` is how often each step may be tried:
    under differential privacy every attempt is paid for. `epsilon` is a ceiling on all of them.
    """

    __pydantic_config__ = REQUEST
    steps: Annotated[
        tuple[Annotated[Mapping[str, JSON], Field(max_length=64)], ...],
        Field(
            min_length=1,
            max_length=MOST_STEPS,
            description="Each with `id`, `kind`, and the members that only this kind has",
            examples=[_STEPS],
        ),
    ] = field(kw_only=True)
    attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] | None = field(
        default=None, kw_only=True
    )
    epsilon: Annotated[float, Field(ge=1e-3, le=1e4)] | None = field(default=None, kw_only=True)
    kind: Literal["pipeline"] = field(default="pipeline", kw_only=True)
