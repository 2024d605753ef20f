"""The building blocks of messages: bounds, shared parts, and the conversion to and from JSON.

Requests and replies are dataclasses, the same at both ends: the sender builds one and `as_body`
serialises it; at the receiver `read` checks its bounds before anything else sees it. Bodies are
signed, hashed and journalled, so every member is written whether it is null or not; the few
that are left out at their default are marked.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Final, Generic, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, model_validator

from secureflow.domain.specs.base import Digest, Slug, parse
from secureflow.domain.texts import STORED
from secureflow.engines.run.stages import STAGE_NAME
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.hostport import HostPort
from secureflow.kit.plain import hidden
from secureflow.kit.text import Text

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

STRICT: Final = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)
LENIENT: Final = ConfigDict(extra="ignore", strict=False, allow_inf_nan=False)
LEFT_OUT: Final = {"left_out": True}
"""Marks a member that a body leaves out if it has its default value."""

JobId = Annotated[str, Field(pattern=r"^[a-z]{2,4}_[0-9a-z]{8,40}$")]
Number = Annotated[int, Field(strict=True, ge=0, lt=1 << 31)]
Count = Annotated[int, Field(strict=True, ge=0, lt=1 << 53)]
Generation = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Size = Annotated[int, Field(strict=True, ge=0, le=1 << 40)]
Note = Annotated[str, Field(max_length=64 << 10)]
Frame = Annotated[str, Field(max_length=1 << 20)]
Sealed = Annotated[str, Field(max_length=8192)]
Named = Annotated[str, Field(max_length=1024)]
"""A name for people. The longest, that of a TDX enclave, holds five registers: 494 characters."""
Stage = Annotated[str, Field(pattern=STAGE_NAME)]
"""A stage's name. The job's kind defines which stages it has (`EngineKind.stages`)."""
Sums = Annotated[list[Annotated[float, Field(strict=True)]], Field(max_length=1 << 16)]
Parties = Annotated[list[Slug], Field(max_length=256)]
Members = dict[str, Any]
"""A JSON object that others read: a spec, evidence, a signed document."""


def _shown(value: Members, info: ValidationInfo) -> Members:
    if info.context != STORED and _hides(value):
        raise ValueError("it holds hidden characters")
    return value


def _hides(value: JSON) -> bool:
    if isinstance(value, str):
        return bool(hidden(value))
    if isinstance(value, dict):
        return any(_hides(name) or _hides(one) for name, one in value.items())
    return isinstance(value, list) and any(map(_hides, value))


PlainObject = Annotated[Members, AfterValidator(_shown)]
"""An object whose texts, which people see, contain no hidden characters."""


def with_body(value: Any) -> Any:
    """Add all of a foreign object as its member `body`: it is passed on as it arrived."""
    return {**value, "body": value} if isinstance(value, dict) else value


class VerbRequest(Generic[R_co]):
    """The request of one verb, with the class of its reply."""

    verb: ClassVar[str]
    reply: ClassVar[type[Any]]


@dataclass(frozen=True, kw_only=True)
class PartyRequest(VerbRequest[R_co]):
    """A request for an approved job: its id and its spec's digest."""

    __pydantic_config__ = STRICT
    job: JobId
    digest: Digest


@dataclass(frozen=True)
class CurrentModel:
    """The released model from which a new enclave continues; its content keys if it is sealed."""

    __pydantic_config__ = LENIENT
    digest: Digest
    release: Members | None = None
    keys: dict[Slug, Sealed] | None = None


@dataclass(frozen=True)
class StoredModel:
    """A global model: `digest` of its float32 bytes, `artifact` and `size` of the stored blob."""

    __pydantic_config__ = LENIENT
    digest: Digest
    artifact: Digest
    size: Size


@dataclass(frozen=True)
class ReleasedModel(StoredModel):
    """A stored model with the release that vouches for it; its content keys if it is sealed."""

    release: Members | None = None
    keys: dict[Slug, Sealed] | None = None


@dataclass(frozen=True)
class ReleasedMoments:
    """The federated moments: sums and the release that vouches for them."""

    __pydantic_config__ = STRICT
    sums: Sums
    release: Members


@dataclass(frozen=True)
class UplinkAddress:
    """The address where the enclave accepts updates."""

    __pydantic_config__ = STRICT
    address: HostPort


@dataclass(frozen=True)
class Blob:
    """A blob at the centre: its BLAKE3 digest and its size in bytes."""

    __pydantic_config__ = LENIENT
    artifact: Digest
    size: Size


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
    """Bytes of a masked vector, as the centre expects it."""

    __pydantic_config__ = STRICT
    size: Size


@dataclass(frozen=True, kw_only=True)
class ShownLeaf:
    """A signed leaf, and the document that it commits to; `engines.run.run` judges its meaning."""

    __pydantic_config__ = LENIENT
    leaf: Members | None = field(default=None, metadata=LEFT_OUT)
    document: JSON = field(default=None, metadata=LEFT_OUT)
    salt: JSON = field(default=None, repr=False, metadata=LEFT_OUT)


@dataclass(frozen=True, kw_only=True)
class Leaves(ShownLeaf):
    """A reply's own leaf, and all of the job's of which the party has no proof, oldest first."""

    leaves: Annotated[tuple[Members, ...], Field(max_length=4096)] = field(
        default=(), metadata=LEFT_OUT
    )

    @property
    def all(self) -> tuple[ShownLeaf, ...]:
        """All leaves in the reply, in the order of the chain."""
        shown = (
            ShownLeaf(leaf=one.get("leaf"), document=one.get("document"), salt=one.get("salt"))
            for one in self.leaves
        )
        return (*shown, self)


@dataclass(frozen=True, kw_only=True)
class ShownVerdict:
    """The members of an agent's verdict that go into everyone's report.

    `body` is the whole verdict as it arrived, which is what a reply sends.
    """

    __pydantic_config__ = LENIENT
    title: Named = ""
    tier: Named = ""
    simulated: Annotated[bool, Field(strict=True)] = False
    body: PlainObject

    @model_validator(mode="before")
    @classmethod
    def _with_body(cls, value: Any) -> Any:
        return with_body(value)

    @model_validator(mode="after")
    def _is_named(self) -> ShownVerdict:
        if not self.title and not self.tier:
            raise ValueError("it names neither an enclave nor a tier")
        return self


@dataclass(frozen=True, kw_only=True)
class Cosigned:
    """A reply with a cosignature of the head that was shown."""

    __pydantic_config__ = LENIENT
    cosignature: Annotated[str, Field(max_length=1024)] | None = field(
        default=None, metadata=LEFT_OUT
    )


def as_body(message: Any) -> dict[str, JSON]:
    """Return a message as JSON, member by member."""
    if isinstance(message, ShownVerdict):
        return message.body
    return {
        name: _plain(getattr(message, name))
        for name, default, left_out in _members(message.__class__)
        if not left_out or getattr(message, name) != default
    }


@cache
def _members(of: type[Any]) -> tuple[tuple[str, Any, bool], ...]:
    """Return the members of a class with their defaults, and whether these are left out."""
    return tuple((one.name, one.default, one.metadata == LEFT_OUT) for one in fields(of))


def _plain(value: Any) -> JSON:
    if is_dataclass(value):
        return as_body(value)
    if isinstance(value, dict):
        return {name: as_body(one) if is_dataclass(one) else one for name, one in value.items()}
    return list(value) if isinstance(value, tuple) else value


def read(of: type[T], body: JSON) -> T:
    """Parse a request body from outside.

    Raises:
        SecureFlowError: `invalid_request` naming the field.
    """
    return parse(of, body, "request")


def read_reply(of: type[T], party: str, verb: str, reply: JSON, *, stored: bool = False) -> T:
    """Parse a party's reply, from outside or as `stored` in a journal.

    Raises:
        SecureFlowError: `malformed_reply` naming the party and the member.
    """
    try:
        return parse(of, reply, "reply", stored=stored)
    except SecureFlowError as error:
        raise SecureFlowError(
            "malformed_reply",
            Text(
                "The answer of {party} to '{verb}' is malformed: {message}",
                party=party,
                verb=verb,
                message=error.message,
            ),
            "Its agent is faulty or of another version: ask the organisation.",
            {"party": party, "verb": verb},
        ) from error
