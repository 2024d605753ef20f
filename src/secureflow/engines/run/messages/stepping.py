"""The message by which parties sign what came out of a step of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from secureflow.engines.ledger.modelends import MAX_SHOWN_ENDS
from secureflow.engines.run.messages.parts import (
    LEFT_OUT,
    Leaves,
    Members,
    Number,
    PartyRequest,
)


@dataclass(frozen=True, kw_only=True)
class StepReply(Leaves):
    """The leaf in which a party signs a step's outputs."""


@dataclass(frozen=True, kw_only=True)
class StepRequest(PartyRequest[StepReply]):
    """`step`: a part of this job has succeeded, and gave these outputs.

    `number` is the part's, `outputs` are the digests of `domain.specs.outputs.Outputs.signed`.
    `ends` are signed ends of parties that compared the model, if some did not: `{"leaf",
    "document", "salt"}` each (`engines.ledger.modelends`).
    """

    verb: ClassVar = "step"
    reply: ClassVar = StepReply
    number: Number
    outputs: Members
    ends: Annotated[tuple[Members, ...], Field(max_length=MAX_SHOWN_ENDS)] = field(
        default=(), metadata=LEFT_OUT
    )
