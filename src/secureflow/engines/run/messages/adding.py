"""What those are asked who add contributions up: the enclave, and the centre's own aggregator.

The enclave reads what it knows and leaves out the rest: it is older or newer than the centre by a
version. What it believes of what it read is `enclave.plans`' to judge.
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
)
from secureflow.kit.canonical import JSON

JobName = Annotated[str, Field(max_length=128)]
Names = list[str]


@dataclass(frozen=True, kw_only=True)
class Named(VerbRequest[R_co]):
    """A request that names an open job."""

    __pydantic_config__ = LENIENT
    job: JobName


@dataclass(frozen=True, kw_only=True)
class OfStep(Named[R_co]):
    """A request on one round and stage."""

    round: Number
    stage: Stage


@dataclass(frozen=True, kw_only=True)
class Empty:
    """Done."""

    __pydantic_config__ = LENIENT


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """A party's key that models are sealed to, signed by it."""

    __pydantic_config__ = LENIENT
    recipient: str
    signature: str


@dataclass(frozen=True, kw_only=True)
class GoingOn:
    """The model that an enclave goes on from; its release, where it is sealed to the agents."""

    __pydantic_config__ = LENIENT
    digest: Digest
    artifact: Digest
    size: JSON = None
    release: Members | None = None


@dataclass(frozen=True, kw_only=True)
class OpenReply:
    """The keys that evidence will vouch for, and where updates go."""

    __pydantic_config__ = LENIENT
    hpke: str
    release: str
    uplink: str


@dataclass(frozen=True, kw_only=True)
class OpenRequest(Named[OpenReply]):
    """`open`: an approved job; `expected` are the only parties whose updates are to be taken."""

    verb: ClassVar = "open"
    reply: ClassVar = OpenReply
    digest: Digest | None = None
    spec: JSON = None
    approvals: Members
    generation: Generation
    recipients: dict[str, Recipient]
    expected: Names | None = None
    model: GoingOn | None = None


@dataclass(frozen=True, kw_only=True)
class AttestReply:
    """Evidence by party."""

    __pydantic_config__ = LENIENT
    evidence: Members


@dataclass(frozen=True, kw_only=True)
class AttestRequest(Named[AttestReply]):
    """`attest`: evidence for each party's nonce."""

    verb: ClassVar = "attest"
    reply: ClassVar = AttestReply
    nonces: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class UnlockRequest(Named[Empty]):
    """`unlock`: the content key of the current model, as parties sealed it to this enclave."""

    verb: ClassVar = "unlock"
    reply: ClassVar = Empty
    model_keys: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class RollReply:
    """Whose contributions are in the sum, and what binds the seeds of its noise."""

    __pydantic_config__ = LENIENT
    folded: Names
    noise: str = ""


@dataclass(frozen=True, kw_only=True)
class RollRequest(OfStep[RollReply]):
    """`roll`: take no more contributions, and say whose are there."""

    verb: ClassVar = "roll"
    reply: ClassVar = RollReply


@dataclass(frozen=True, kw_only=True)
class Released:
    """What a round put out. `body` is all of it as it came: what is signed goes on unchanged.

    What a sum becomes is its kind's: that too stands in `body`.
    """

    __pydantic_config__ = LENIENT
    survivors: Names
    body: Members

    @model_validator(mode="before")
    @classmethod
    def _with_body(cls, value: Any) -> Any:
        return {**value, "body": value} if isinstance(value, dict) else value

    def pick(self, *names: str) -> dict[str, JSON]:
        """Return those of these members that it has."""
        return {name: self.body[name] for name in names if name in self.body}


@dataclass(frozen=True, kw_only=True)
class ReleaseRequest(OfStep[Released]):
    """`release`: the sum of the certified parties; `opened` is what takes masks away."""

    verb: ClassVar = "release"
    reply: ClassVar = Released
    certificate: JSON = None
    opened: JSON = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, kw_only=True)
class SumBase:
    """The model that a sum moves on, where there is one already."""

    __pydantic_config__ = LENIENT
    digest: Digest


@dataclass(frozen=True, kw_only=True)
class SumRequest(OfStep[Released]):
    """`sum`: add these vectors up and unmask them; those that are spent may go.

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
class ForgetRequest(Named[Empty]):
    """`finish`, as those read it who add up: the job is over."""

    verb: ClassVar = "finish"
    reply: ClassVar = Empty
