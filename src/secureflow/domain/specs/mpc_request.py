"""A data scientist's request for a computation among parties: a program, and what it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, Column, Slug
from secureflow.domain.specs.engineprograms import MAX_ATTEMPTS, MAX_COLUMNS
from secureflow.domain.specs.mpc import MpcLimits, Receivers
from secureflow.domain.specs.mpc_programs import MpcProgram, Protocol
from secureflow.domain.specs.request import REQUEST, RequestBase
from secureflow.domain.specs.summed import SummedNoise

_SUMS = {
    "name": "joint-sums",
    "queries": [{"name": "mean-age", "measure": "mean", "columns": ["age"], "by": "sex"}],
}


@dataclass(frozen=True)
class RequestedSide:
    """The columns that one party brings to an engine's program."""

    __pydantic_config__ = STRICT
    columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=MAX_COLUMNS)]


@dataclass(frozen=True)
class MpcRequest(RequestBase):
    """A program of the catalogue (`secureflow mpc list`), and what it is asked.

    Without a `protocol` it is the program's usual one for so many parties. To an engine's program
    `inputs` are the columns of each party by its name, `compute` names parties without a dataset
    that compute along, and `receivers` who gets the result. Of joint sums bounds, categories, the
    unit and how many of its rows count come from the owners' declarations.
    """

    __pydantic_config__ = REQUEST
    program: Annotated[MpcProgram, Field(examples=[_SUMS])]
    protocol: Protocol | None = None
    receivers: Receivers | None = None
    inputs: Annotated[dict[Slug, RequestedSide], Field(max_length=256)] = field(
        default_factory=dict
    )
    compute: Annotated[tuple[Slug, ...], Field(max_length=256)] = ()
    attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)] | None = None
    privacy: SummedNoise | None = None
    limits: MpcLimits | None = None
    min_contributors: Annotated[int, Field(ge=1, le=256)] | None = None
    kind: Literal["mpc"] = field(default="mpc", kw_only=True)
