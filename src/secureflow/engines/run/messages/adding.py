"""Requests to those that add up contributions: the enclave, and the centre's own aggregator.

The enclave reads the members that it knows and ignores the rest, because it may be one version
older or newer than the centre. Which of them it trusts is decided in `enclave.plans`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from secureflow.domain.specs.base import Digest
from secureflow.engines.run.messages.parts import (
    LEFT_OUT,
    LENIENT,
    Generation,
    Members,
    Number,
    R_co,
    Stage,
    VerbRequest,
    with_body,
)
from secureflow.kit.canonical import JSON

JobName = Annotated[str, Field(max_length=128)]
Names = list[str]


@dataclass(frozen=True, kw_only=True)
class AdderRequest(VerbRequest[R_co]):
    """A request that names an open job."""

    __pydantic_config__ = LENIENT
    job: JobName


@dataclass(frozen=True, kw_only=True)
class StepRequest(AdderRequest[R_co]):
    """A request about one round and stage."""

    round: Number
    stage: Stage


@dataclass(frozen=True, kw_only=True)
class Empty:
    """No content: the request was carried out."""

    __pydantic_config__ = LENIENT


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """A party's signed key, to which models are sealed."""

    __pydantic_config__ = LENIENT
    recipient: str
    signature: str


@dataclass(frozen=True, kw_only=True)
class ContinuedModel:
    """The model from which an enclave continues; its release, if it is sealed to the agents."""

    __pydantic_config__ = LENIENT
    digest: Digest
    artifact: Digest
    size: JSON = None
    release: Members | None = None


@dataclass(frozen=True, kw_only=True)
class OpenReply:
    """The keys that evidence will vouch for, and the destination of updates."""

    __pydantic_config__ = LENIENT
    hpke: str
    release: str
    uplink: str


@dataclass(frozen=True, kw_only=True)
class OpenRequest(AdderRequest[OpenReply]):
    """`open`: an approved job; only updates of the parties in `expected` are to be accepted."""

    verb: ClassVar = "open"
    reply: ClassVar = OpenReply
    digest: Digest | None = None
    spec: JSON = None
    approvals: Members
    generation: Generation
    recipients: dict[str, Recipient]
    expected: Names | None = None
    model: ContinuedModel | None = None


@dataclass(frozen=True, kw_only=True)
class AttestReply:
    """Evidence by party."""

    __pydantic_config__ = LENIENT
    evidence: Members


@dataclass(frozen=True, kw_only=True)
class AttestRequest(AdderRequest[AttestReply]):
    """`attest`: evidence for each party's nonce."""

    verb: ClassVar = "attest"
    reply: ClassVar = AttestReply
    nonces: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class UnlockRequest(AdderRequest[Empty]):
    """`unlock`: the content key of the current model, sealed to this enclave by parties."""

    verb: ClassVar = "unlock"
    reply: ClassVar = Empty
    model_keys: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class RollReply:
    """The parties whose contributions are in the sum, and the binding of its noise seeds."""

    __pydantic_config__ = LENIENT
    folded: Names
    noise: str = ""


@dataclass(frozen=True, kw_only=True)
class RollRequest(StepRequest[RollReply]):
    """`roll`: accept no more contributions, and return whose are in the sum."""

    verb: ClassVar = "roll"
    reply: ClassVar = RollReply


@dataclass(frozen=True, kw_only=True)
class Released:
    """The result of a round. `body` is all of it as it arrived: signed data is passed on unchanged.

    What a sum becomes depends on the kind: that is in `body` as well.
    """

    __pydantic_config__ = LENIENT
    survivors: Names
    body: Members

    @model_validator(mode="before")
    @classmethod
    def _with_body(cls, value: Any) -> Any:
        return with_body(value)

    def pick(self, *names: str) -> dict[str, JSON]:
        """Return those of these members that are present."""
        return {name: self.body[name] for name in names if name in self.body}


@dataclass(frozen=True, kw_only=True)
class ReleaseRequest(StepRequest[Released]):
    """`release`: the sum of the certified parties; `opened` is what removes the masks."""

    verb: ClassVar = "release"
    reply: ClassVar = Released
    certificate: JSON = None
    opened: JSON = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, kw_only=True)
class SumBase:
    """The model that a sum updates, if there is one yet."""

    __pydantic_config__ = LENIENT
    digest: Digest


@dataclass(frozen=True, kw_only=True)
class SumRequest(StepRequest[Released]):
    """`sum`: add up these vectors and unmask the sum; those in `spent` may be deleted.

    `base` is the hex digest of what the round started from.
    """

    verb: ClassVar = "sum"
    reply: ClassVar = Released
    digest: Digest
    spec: Members
    base: Digest
    model: SumBase | None
    opened: Members
    vectors: dict[str, str]
    spent: Names


@dataclass(frozen=True, kw_only=True)
class ForgetRequest(AdderRequest[Empty]):
    """`finish`, as read by those that add up: the job has ended."""

    verb: ClassVar = "finish"
    reply: ClassVar = Empty
