"""Requests for an attempt among peers, and their replies: offer channels, then run the protocol.

An attempt is a number from 1. What a party says of its channels it signs (`engines.peers`); its
leaf binds that to what it puts in (`engines.run.attempts`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from secureflow.domain.specs.base import Digest, Slug
from secureflow.engines.run.messages.parts import (
    LEFT_OUT,
    LENIENT,
    STRICT,
    Count,
    Leaves,
    Members,
    Note,
    PartyRequest,
    PlainObject,
)

MAX_PEERS: Final = 256
MAX_FIGURES: Final = 1 << 16
"""Most bytes of what a party tells of a run: counts, no rows."""
MAX_STATEMENT: Final = 1 << 13
AttemptNumber = Annotated[int, Field(strict=True, ge=1, le=1000)]


def _small(most: int) -> AfterValidator:
    def check(value: Members) -> Members:
        if len(json.dumps(value)) > most:
            raise ValueError(f"it has more than {most} bytes")
        return value

    return AfterValidator(check)


Figures = Annotated[PlainObject, _small(MAX_FIGURES)]
Statement = Annotated[Members, _small(MAX_STATEMENT)]
"""A signed `peer_channel` statement; `engines.peers` judges it."""
Statements = Annotated[dict[Slug, Statement], Field(max_length=MAX_PEERS)]


@dataclass(frozen=True, kw_only=True)
class ChannelBytes:
    """Bytes of content over a channel, as this end counted them."""

    __pydantic_config__ = LENIENT
    sent: Count
    received: Count


@dataclass(frozen=True, kw_only=True)
class PeerRunReply(Leaves):
    """What a party tells of its run: never a row, never a key.

    Its leaf is of kind `kept` where the party keeps a result, else that of its attempt.

    Args:
        attempt: that ended with this.
        figures: counts of the kind's own.
        channels: peer → bytes.
        seconds: that it took.
        peak: bytes of memory of the engine's process; 0 if nobody counted.
    """

    attempt: AttemptNumber
    figures: Figures
    channels: Annotated[dict[Slug, ChannelBytes], Field(max_length=MAX_PEERS)]
    seconds: Annotated[float, Field(ge=0.0, le=1e7, allow_inf_nan=False)]
    peak: Count = 0


@dataclass(frozen=True, kw_only=True)
class PeerRunForAll(PartyRequest[PeerRunReply]):
    """`peer_run` without each party's own part."""

    verb: ClassVar = "peer_run"
    reply: ClassVar = PeerRunReply
    attempt: AttemptNumber


@dataclass(frozen=True, kw_only=True)
class PeerRunOwn:
    """What the others offered this party.

    Args:
        statements: peer → what it signed of its channel to this party.
        offers: peer → the leaf of its attempt, with document and salt.
    """

    __pydantic_config__ = STRICT
    statements: Statements
    offers: Annotated[dict[Slug, Statement], Field(max_length=MAX_PEERS)]


@dataclass(frozen=True, kw_only=True)
class PeerRunRequest(PeerRunForAll, PeerRunOwn):
    """`peer_run`: open the channels of an attempt, and run the protocol."""


@dataclass(frozen=True, kw_only=True)
class PeerOfferReply(Leaves):
    """What this party signed of its channels, and the leaf of its attempt.

    Args:
        statements: peer → the statement for it.
        done: what it told of an earlier attempt, if it has ended one: a result is made once.
    """

    statements: Statements
    done: PeerRunReply | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, kw_only=True)
class PeerOfferRequest(PartyRequest[PeerOfferReply]):
    """`peer_offer`: make the keys of an attempt's channels, and commit to what is put in."""

    verb: ClassVar = "peer_offer"
    reply: ClassVar = PeerOfferReply
    attempt: AttemptNumber
    program: Digest
    head: Note
