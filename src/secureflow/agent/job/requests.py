"""The bodies of requests as values: strict shapes first, meaning afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field

from secureflow.domain.specs.base import Digest, Slug, parse
from secureflow.kit.hostport import HostPort

JSON = Any
T = TypeVar("T")
STRICT = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)
LENIENT = ConfigDict(extra="ignore", strict=False, allow_inf_nan=False)

JobId = Annotated[str, Field(pattern=r"^[a-z]{2,4}_[0-9a-z]{8,40}$")]
Number = Annotated[int, Field(strict=True, ge=0, lt=1 << 31)]
Generation = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Note = Annotated[str, Field(max_length=64 << 10)]
Frame = Annotated[str, Field(max_length=1 << 20)]
Sealed = Annotated[str, Field(max_length=8192)]
TrainingStage = Literal["moments", "train", "evaluate"]
Stage = Literal[TrainingStage, "statistics"]
Sums = Annotated[list[Annotated[float, Field(strict=True)]], Field(max_length=1 << 16)]
Parties = Annotated[list[Slug], Field(max_length=256)]


@dataclass(frozen=True)
class ConsentRequest:
    """`consent`: may this job use the data?"""

    __pydantic_config__ = STRICT
    job: JobId
    spec: dict[str, Any]
    digest: Digest
    expires: Annotated[int, Field(strict=True, ge=0, lt=1 << 53)]


@dataclass(frozen=True)
class ChallengeRequest:
    """`challenge`: a nonce for the enclave's evidence."""

    __pydantic_config__ = STRICT
    job: JobId
    digest: Digest
    generation: Generation


@dataclass(frozen=True)
class CurrentModel:
    """The released model that a new enclave goes on from; its content keys if it is sealed."""

    __pydantic_config__ = LENIENT
    digest: Digest
    release: dict[str, Any] | None = None
    keys: dict[Slug, Sealed] | None = None


@dataclass(frozen=True)
class AdmitRequest:
    """`admit`: the evidence of an enclave's generation."""

    __pydantic_config__ = STRICT
    job: JobId
    digest: Digest
    generation: Generation
    evidence: dict[str, Any]
    model: CurrentModel | None = None


@dataclass(frozen=True)
class ReleasedModel:
    """A global model: `digest` of its float32 bytes, `artifact` and `size` of what is fetched."""

    __pydantic_config__ = LENIENT
    digest: Digest
    artifact: Digest
    size: Annotated[int, Field(strict=True, ge=0, le=1 << 40)]
    release: dict[str, Any] | None = None
    keys: dict[Slug, Sealed] | None = None


@dataclass(frozen=True)
class ReleasedMoments:
    """The federated moments: sums and the release that vouches for them."""

    __pydantic_config__ = STRICT
    sums: Sums
    release: dict[str, Any]


@dataclass(frozen=True)
class UplinkAddress:
    """Where the enclave takes updates."""

    __pydantic_config__ = STRICT
    address: HostPort


@dataclass(frozen=True)
class TrainRequest:
    """`train`: one update of a round and stage."""

    __pydantic_config__ = STRICT
    job: JobId
    digest: Digest
    round: Number
    stage: TrainingStage
    generation: Generation
    head: Note
    uplink: UplinkAddress
    model: ReleasedModel | None = None
    moments: ReleasedMoments | None = None


@dataclass(frozen=True)
class CloseRequest:
    """`close`: the vote on who contributed."""

    __pydantic_config__ = STRICT
    job: JobId
    digest: Digest
    round: Number
    stage: TrainingStage
    context: Digest
    survivors: Parties
    dead: Parties
    cosigned: Note
    noise: Digest | Literal[""] = ""


@dataclass(frozen=True)
class SetupRequest:
    """`setup`: this party's sealing keys for a masked job."""

    __pydantic_config__ = STRICT
    job: JobId
    digest: Digest


@dataclass(frozen=True)
class AdvanceRequest:
    """`advance`: everybody's sealing keys; keys and shares of a coming round of each stage."""

    __pydantic_config__ = STRICT
    job: JobId
    digest: Digest
    meet: dict[Stage, Frame]
    rounds: dict[Stage, Number]


@dataclass(frozen=True)
class Blob:
    """A blob at the centre: its BLAKE3 digest and its size in bytes."""

    __pydantic_config__ = LENIENT
    artifact: Digest
    size: Annotated[int, Field(strict=True, ge=0, le=1 << 40)]


@dataclass(frozen=True)
class PublishedStep:
    """A train round's outcome: the mean update that leads from model `base` to `model`."""

    __pydantic_config__ = LENIENT
    round: Number
    base: Digest
    model: Digest
    mean: Blob


@dataclass(frozen=True)
class VectorSize:
    """Bytes of a masked vector, as the centre expects them."""

    __pydantic_config__ = STRICT
    size: Annotated[int, Field(strict=True, ge=0, le=1 << 40)]


@dataclass(frozen=True)
class MaskRequest:
    """`mask`: one masked update. `steps` are published means that this party may not have yet.

    `generation`, `uplink` and `moments_release` come where the vector is sealed to an enclave too.
    """

    __pydantic_config__ = STRICT
    job: JobId
    digest: Digest
    round: Number
    stage: Stage
    head: Note
    begin: Frame
    steps: Annotated[list[dict[str, Any]], Field(max_length=10_000)]
    vector: VectorSize
    model: ReleasedModel | None = None
    moments: Sums | None = None
    generation: Generation | None = None
    uplink: UplinkAddress | None = None
    moments_release: dict[str, Any] | None = None


@dataclass(frozen=True)
class AnswerRequest:
    """`answer`: the closing question of a masked round, or the certificate of its answer."""

    __pydantic_config__ = STRICT
    job: JobId
    digest: Digest
    round: Number
    stage: Stage
    frame: Frame
    cosigned: Note


@dataclass(frozen=True)
class CosignRequest:
    """`cosign`: a head of the log, for a job or for none."""

    __pydantic_config__ = STRICT
    head: Note
    job: Literal[""] | JobId = ""


@dataclass(frozen=True)
class FinishRequest:
    """`finish`: the job is over."""

    __pydantic_config__ = STRICT
    job: JobId
    digest: Digest
    outcome: Literal["succeeded", "failed", "cancelled"]
    head: Note
    model: dict[str, Any] | None = None


def read(of: type[T], body: JSON) -> T:
    """Parse a foreign request body.

    Raises:
        SecureFlowError: `invalid_request` naming the field.
    """
    return parse(of, body, "request")
