"""Requests to a party, and its replies, verb by verb.

A request of which each party receives a part of its own has three classes: the part that all
receive (`…ForAll`), a party's own part (`…Own`), and both together, as the party reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from secureflow.domain.specs.base import Digest
from secureflow.engines.run.messages.parts import (
    LEFT_OUT,
    LENIENT,
    STRICT,
    Cosigned,
    Count,
    CurrentModel,
    Frame,
    Generation,
    JobId,
    Leaves,
    Members,
    Note,
    Number,
    Parties,
    PartyRequest,
    ReleasedModel,
    ReleasedMoments,
    Sealed,
    ShownVerdict,
    Stage,
    StoredModel,
    Sums,
    UplinkAddress,
    VectorSize,
    VerbRequest,
)
from secureflow.engines.run.stages import MAX_STAGES
from secureflow.kit.canonical import JSON


@dataclass(frozen=True, kw_only=True)
class ConsentReply(Leaves):
    """The signed approval, and its leaf."""

    approval: Members


@dataclass(frozen=True, kw_only=True)
class ConsentRequest(PartyRequest[ConsentReply]):
    """`consent`: may this job use the data?"""

    verb: ClassVar = "consent"
    reply: ClassVar = ConsentReply
    spec: Members
    expires: Annotated[int, Field(strict=True, ge=0, lt=1 << 53)]


@dataclass(frozen=True, kw_only=True)
class ChallengeReply:
    """The nonce, and the party's signed key to which models are sealed."""

    __pydantic_config__ = LENIENT
    nonce: Annotated[str, Field(max_length=64)]
    recipient: Sealed
    signature: Annotated[str, Field(max_length=128)]


@dataclass(frozen=True, kw_only=True)
class ChallengeRequest(PartyRequest[ChallengeReply]):
    """`challenge`: a nonce for the enclave's evidence."""

    verb: ClassVar = "challenge"
    reply: ClassVar = ChallengeReply
    generation: Generation


@dataclass(frozen=True, kw_only=True)
class AdmitReply(Leaves):
    """The verdict, its leaf, and the content key of the current model, sealed to the enclave."""

    verdict: ShownVerdict
    model_key: Sealed | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, kw_only=True)
class AdmitForAll(PartyRequest[AdmitReply]):
    """`admit` without the evidence."""

    verb: ClassVar = "admit"
    reply: ClassVar = AdmitReply
    generation: Generation
    model: CurrentModel | None = None


@dataclass(frozen=True, kw_only=True)
class AdmitOwn:
    """The evidence that answers this party's nonce."""

    __pydantic_config__ = STRICT
    evidence: Members


@dataclass(frozen=True, kw_only=True)
class AdmitRequest(AdmitForAll, AdmitOwn):
    """`admit`: the evidence of an enclave's generation."""


@dataclass(frozen=True, kw_only=True)
class TrainReply(Cosigned, Leaves):
    """The enclave's receipt for the update, the rows used, and the seconds taken."""

    receipt: JSON = field(default=None, metadata=LEFT_OUT)
    rows: Count | None = field(default=None, metadata=LEFT_OUT)
    seconds: JSON = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, kw_only=True)
class TrainRequest(PartyRequest[TrainReply]):
    """`train`: one update of a round and stage."""

    verb: ClassVar = "train"
    reply: ClassVar = TrainReply
    round: Number
    stage: Stage
    generation: Generation
    head: Note
    uplink: UplinkAddress
    model: ReleasedModel | None = None
    moments: ReleasedMoments | None = None


@dataclass(frozen=True, kw_only=True)
class CloseReply:
    """The signed vote."""

    __pydantic_config__ = LENIENT
    vote: Members


@dataclass(frozen=True, kw_only=True)
class CloseRequest(PartyRequest[CloseReply]):
    """`close`: the vote on who contributed."""

    verb: ClassVar = "close"
    reply: ClassVar = CloseReply
    round: Number
    stage: Stage
    context: Digest
    survivors: Parties
    dead: Parties
    cosigned: Note
    noise: Digest | Literal[""] = field(default="", metadata=LEFT_OUT)


@dataclass(frozen=True, kw_only=True)
class SetupReply:
    """SETUP frames by stage; a missing stage is a failure of the party."""

    __pydantic_config__ = LENIENT
    setups: JSON = None


@dataclass(frozen=True, kw_only=True)
class SetupRequest(PartyRequest[SetupReply]):
    """`setup`: this party's sealing keys for a masked job."""

    verb: ClassVar = "setup"
    reply: ClassVar = SetupReply


@dataclass(frozen=True, kw_only=True)
class AdvanceReply:
    """ADVANCE frames by stage; a missing stage is a failure of the party."""

    __pydantic_config__ = LENIENT
    advances: JSON = None


@dataclass(frozen=True, kw_only=True)
class AdvanceRequest(PartyRequest[AdvanceReply]):
    """`advance`: all sealing keys; keys and shares of a coming round of each stage."""

    verb: ClassVar = "advance"
    reply: ClassVar = AdvanceReply
    meet: Annotated[dict[Stage, Frame], Field(max_length=MAX_STAGES)]
    rounds: Annotated[dict[Stage, Number], Field(max_length=MAX_STAGES)]


@dataclass(frozen=True)
class SelfReport:
    """What a party says of itself, past the masks: nobody can check it.

    Args:
        rows: that it trains on.
        loss: of the model that the round starts from, on its held-out rows; None without any.
    """

    __pydantic_config__ = STRICT
    rows: Count
    loss: Annotated[float, Field(ge=0.0, le=1e12)] | None = None


@dataclass(frozen=True, kw_only=True)
class MaskReply(Cosigned, Leaves):
    """The UPLOAD frame, the digest of the vector (which is sent separately), the seconds taken."""

    told: SelfReport | None = field(default=None, metadata=LEFT_OUT)
    upload: JSON = field(default=None, metadata=LEFT_OUT)
    vector: Annotated[str, Field(max_length=64)] | None = field(default=None, metadata=LEFT_OUT)
    seconds: JSON = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, kw_only=True)
class MaskForAll(PartyRequest[MaskReply]):
    """`mask` without each party's own part; the vector goes to the centre."""

    verb: ClassVar = "mask"
    reply: ClassVar = MaskReply
    round: Number
    stage: Stage
    head: Note
    vector: VectorSize
    model: StoredModel | None = None
    moments: Sums | None = None


@dataclass(frozen=True, kw_only=True)
class SealedMaskForAll(MaskForAll):
    """The same, for a vector that is also sealed to an enclave."""

    generation: Generation | None = None
    uplink: UplinkAddress | None = None
    moments_release: Members | None = None


@dataclass(frozen=True, kw_only=True)
class MaskOwn:
    """The round's keys for a party, and the published means that it may not have yet."""

    __pydantic_config__ = STRICT
    begin: Frame
    steps: Annotated[list[Members], Field(max_length=10_000)]


@dataclass(frozen=True, kw_only=True)
class MaskRequest(SealedMaskForAll, MaskOwn):
    """`mask`: one masked update. `steps` are published means that this party may not have yet.

    With `generation`, `uplink` and `moments_release` if the vector is also sealed to an enclave.
    """

    model: ReleasedModel | None = None


@dataclass(frozen=True, kw_only=True)
class AnswerReply:
    """The OPENING frame, or the frame that reveals what the certificate asks for."""

    __pydantic_config__ = LENIENT
    answer: JSON = None


@dataclass(frozen=True, kw_only=True)
class AnswerForAll(PartyRequest[AnswerReply]):
    """`answer` without the frame."""

    verb: ClassVar = "answer"
    reply: ClassVar = AnswerReply
    round: Number
    stage: Stage
    cosigned: Note


@dataclass(frozen=True, kw_only=True)
class AnswerOwn:
    """The question or the certificate, as sent to this party."""

    __pydantic_config__ = STRICT
    frame: Frame


@dataclass(frozen=True, kw_only=True)
class AnswerRequest(AnswerForAll, AnswerOwn):
    """`answer`: the closing question of a masked round, or the certificate of its answer."""


@dataclass(frozen=True, kw_only=True)
class KeepReply(Leaves):
    """The leaf that commits to what the party keeps; its document stays with the party."""


@dataclass(frozen=True, kw_only=True)
class KeepRequest(PartyRequest[KeepReply]):
    """`keep`: compute what stays with the party, from this model if from any."""

    verb: ClassVar = "keep"
    reply: ClassVar = KeepReply
    head: Note
    model: StoredModel | None = None


@dataclass(frozen=True, kw_only=True)
class CosignReply(Cosigned):
    """The cosignature."""


@dataclass(frozen=True, kw_only=True)
class CosignRequest(VerbRequest[CosignReply]):
    """`cosign`: a head of the log, for a job or for none."""

    __pydantic_config__ = STRICT
    verb: ClassVar = "cosign"
    reply: ClassVar = CosignReply
    head: Note
    job: Literal[""] | JobId = ""


@dataclass(frozen=True, kw_only=True)
class FinishReply(Cosigned, Leaves):
    """The cosignature, and the leaf with which the party ends the job; an adder replies {}."""


@dataclass(frozen=True, kw_only=True)
class FinishRequest(PartyRequest[FinishReply]):
    """`finish`: the job has ended."""

    verb: ClassVar = "finish"
    reply: ClassVar = FinishReply
    outcome: Literal["succeeded", "failed", "cancelled"]
    head: Note
    model: Members | None = None
    contribution: Members | None = field(default=None, metadata=LEFT_OUT)
