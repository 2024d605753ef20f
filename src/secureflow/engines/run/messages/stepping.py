"""The message by which parties sign what came out of a step of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secureflow.engines.run.messages.parts import Leaves, Members, Number, PartyRequest


@dataclass(frozen=True, kw_only=True)
class StepReply(Leaves):
    """The leaf in which a party signs a step's outputs."""


@dataclass(frozen=True, kw_only=True)
class StepRequest(PartyRequest[StepReply]):
    """`step`: a part of this job has succeeded, and gave these outputs.

    `number` is the part's, `outputs` are the digests of `domain.specs.outputs.Outputs.signed`.
    """

    verb: ClassVar = "step"
    reply: ClassVar = StepReply
    number: Number
    outputs: Members
