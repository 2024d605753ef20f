"""The messages of `sf-secagg-1`, their bounded parsers and the content of their signatures.

Party → aggregator: SETUP (signed sealing key), ADVANCE (signed round key and sealed shares of a
coming round), UPLOAD (masked vector, with the next round's ADVANCE), VOTE, OPENING (shares).
Aggregator → party: MEET (all SETUPs), BEGIN (the round's keys and the shares sealed to the party),
QUESTION (who survived), CERTIFICATE (t votes on that); these two are `engines.closing`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from secureflow.domain.specs.base import Digest, Key, Slug, dump, parse
from secureflow.engines.closing import Certificate, Question
from secureflow.engines.secagg.framing import FrameKind, decode_frame, encode_frame
from secureflow.engines.secagg.plan import MAX_PARTIES, MaskingPlan
from secureflow.engines.secagg.shamir import SHARE_BYTES
from secureflow.kit.canonical import digest
from secureflow.kit.crypto import SigningKey, verify
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

SEALED_BYTES = 2 * SHARE_BYTES + 16

_STRICT = ConfigDict(extra="forbid", strict=False)

Round = Annotated[int, Field(ge=0, le=1 << 31)]
JobId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Signature = Annotated[str, Field(min_length=88, max_length=88)]
Parties = Annotated[tuple[Slug, ...], Field(max_length=MAX_PARTIES)]


@dataclass(frozen=True)
class Setup:
    """A party's X25519 sealing key for this job, signed by its organisation."""

    __pydantic_config__ = _STRICT
    job: JobId
    spec: Digest
    party: Slug
    key: Key
    signature: Signature

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the signed body."""
        return digest(signed_body(self))


@dataclass(frozen=True)
class RoundKey:
    """A party's X25519 mask key and self-mask commitment for one round, signed."""

    __pydantic_config__ = _STRICT
    job: JobId
    spec: Digest
    round: Round
    party: Slug
    key: Key
    commitment: Digest
    sealing: Digest
    signature: Signature

    @cached_property
    def digest(self) -> str:
        """The round-key digest in the context: hex SHA-256 of the signed body."""
        return digest(signed_body(self))


@dataclass(frozen=True)
class Meet:
    """The sealing keys of all parties."""

    __pydantic_config__ = _STRICT
    setups: Annotated[tuple[Setup, ...], Field(max_length=MAX_PARTIES)]


@dataclass(frozen=True)
class Advance:
    """A round key, and the recipients of the sealed shares in the body (in this order)."""

    __pydantic_config__ = _STRICT
    round_key: RoundKey
    recipients: Parties


@dataclass(frozen=True)
class Begin:
    """A round's keys in roster order; the body holds the others' shares sealed to the reader."""

    __pydantic_config__ = _STRICT
    round: Round
    keys: Annotated[tuple[RoundKey, ...], Field(max_length=MAX_PARTIES)]


@dataclass(frozen=True)
class Upload:
    """Header of a masked vector; the body is the vector, then `advance`'s shares."""

    __pydantic_config__ = _STRICT
    round: Round
    context: Digest
    advance: Advance | None = None


@dataclass(frozen=True)
class Ballot:
    """One party's vote on the question that was asked."""

    __pydantic_config__ = _STRICT
    voter: Slug
    signature: Signature


@dataclass(frozen=True)
class Opening:
    """Header of shares, one per party of the context in its order, and the vote."""

    __pydantic_config__ = _STRICT
    round: Round
    context: Digest
    ballot: Ballot


Message = Setup | Meet | Advance | Begin | Upload | Question | Ballot | Certificate | Opening

_TYPES: dict[FrameKind, type[Any]] = {
    FrameKind.SETUP: Setup,
    FrameKind.MEET: Meet,
    FrameKind.ADVANCE: Advance,
    FrameKind.BEGIN: Begin,
    FrameKind.UPLOAD: Upload,
    FrameKind.QUESTION: Question,
    FrameKind.VOTE: Ballot,
    FrameKind.CERTIFICATE: Certificate,
    FrameKind.OPENING: Opening,
}
_KINDS = {message: kind for kind, message in _TYPES.items()}


def pack(message: Message, body: bytes = b"") -> bytes:
    """Return the frame of a message."""
    header = message.as_json() if isinstance(message, Question | Certificate) else dump(message)
    return encode_frame(_KINDS[type(message)], header, body)


def unpack(plan: MaskingPlan, data: bytes | bytearray | memoryview) -> tuple[Any, memoryview]:
    """Parse a frame from the other side into its message and its body.

    Raises:
        SecureFlowError: `malformed_frame`, `malformed_json`, `invalid_secagg_message`,
            `vote_malformed`, `certificate_malformed`.
    """
    frame = decode_frame(data, plan.vector_bytes + SEALED_BYTES * len(plan.roster))
    of = _TYPES[frame.kind]
    if of is Question or of is Certificate:
        return of.from_json(frame.header), frame.body
    return parse(of, frame.header, "secagg_message"), frame.body


def pieces(body: memoryview, size: int, count: int) -> Iterator[memoryview]:
    """Cut a body into `count` pieces of `size` bytes.

    Raises:
        SecureFlowError: `malformed_frame` if it has another length.
    """
    if len(body) != size * count:
        raise SecureFlowError(
            "malformed_frame",
            Text(
                "The body has {count} bytes instead of {elements} × {size}.",
                count=len(body),
                elements=count,
                size=size,
            ),
        )
    return (body[at : at + size] for at in range(0, len(body), size))


def signed_body(statement: Setup | RoundKey) -> dict[str, Any]:
    """Return the JSON that the statement's signature covers."""
    return {f.name: getattr(statement, f.name) for f in fields(statement) if f.name != "signature"}


def sign_setup(key: SigningKey, plan: MaskingPlan, party: str, sealing: str) -> Setup:
    """Sign a party's sealing key."""
    body = {"job": plan.job, "spec": plan.spec, "party": party, "key": sealing}
    return Setup(**body, signature=key.sign("secagg_setup", body))


def sign_round_key(
    key: SigningKey, setup: Setup, round_: int, mask_key: str, commitment: str
) -> RoundKey:
    """Sign a party's mask key and commitment of one round."""
    body: dict[str, Any] = {
        "job": setup.job,
        "spec": setup.spec,
        "round": round_,
        "party": setup.party,
        "key": mask_key,
        "commitment": commitment,
        "sealing": setup.digest,
    }
    return RoundKey(**body, signature=key.sign("secagg_round_key", body))


def check_statement(plan: MaskingPlan, statement: Setup | RoundKey) -> None:
    """Accept only what the organisation itself signed for this job.

    Raises:
        SecureFlowError: `unknown_party`, `other_job`, `forged_key`.
    """
    party = statement.party
    if party not in plan.index:
        raise SecureFlowError(
            "unknown_party", Text("{party} does not stand in the job's roster.", party=party)
        )
    if (statement.job, statement.spec) != (plan.job, plan.spec):
        raise SecureFlowError(
            "other_job", Text("{party}'s key was signed for another job or spec.", party=party)
        )
    kind = "secagg_setup" if isinstance(statement, Setup) else "secagg_round_key"
    if not verify(plan.keys[party], kind, signed_body(statement), statement.signature):
        raise SecureFlowError(
            "forged_key",
            Text("The signature on {party}'s key is not {party}'s.", party=party),
            "The server or the link has replaced it; compare the charter out of band.",
            {"party": party},
        )


def in_roster_order(plan: MaskingPlan, parties: Sequence[str]) -> bool:
    """Tell whether the parties are distinct members of the roster in its order."""
    places = [plan.index.get(p, -1) for p in parties]
    return -1 not in places and all(a < b for a, b in pairwise(places))
