"""Requests by which parties hand what they keep over to one of them, sealed, and its replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from secureflow.domain.specs.base import Digest, Slug
from secureflow.engines.run.messages.parts import (
    LENIENT,
    STRICT,
    Leaves,
    Number,
    PartyRequest,
    Sealed,
    Size,
    Stage,
    VectorSize,
)

Signature = Annotated[str, Field(max_length=128)]


@dataclass(frozen=True, kw_only=True)
class SealedFile:
    """A file that its owner sealed to another party.

    Args:
        artifact: BLAKE3 of the ciphertext, by which the centre stores it.
        size: its bytes.
        length: those of the file.
        key: the content key, sealed to the recipient's.
        signature: the owner's, over all of this (`engines.sealing.delivery`).
    """

    __pydantic_config__ = LENIENT
    artifact: Digest
    size: Size
    length: Size
    key: Sealed
    signature: Signature


@dataclass(frozen=True, kw_only=True)
class ReceiveReply:
    """The key to which files are sealed for this party, and its signature."""

    __pydantic_config__ = LENIENT
    recipient: Sealed
    signature: Signature


@dataclass(frozen=True, kw_only=True)
class ReceiveRequest(PartyRequest[ReceiveReply]):
    """`receive`: the key of the party that the job's files go to."""

    verb: ClassVar = "receive"
    reply: ClassVar = ReceiveReply


@dataclass(frozen=True, kw_only=True)
class SealReply:
    """The file, sealed; the ciphertext itself is sent when it is asked for."""

    __pydantic_config__ = LENIENT
    sealed: SealedFile


@dataclass(frozen=True, kw_only=True)
class SealRequest(PartyRequest[SealReply]):
    """`seal`: seal what this party keeps to the recipient's key."""

    verb: ClassVar = "seal"
    reply: ClassVar = SealReply
    recipient: Sealed
    signature: Signature


@dataclass(frozen=True, kw_only=True)
class HandOverReply:
    """The digest of the ciphertext, which has arrived at the centre."""

    __pydantic_config__ = LENIENT
    vector: Digest


@dataclass(frozen=True, kw_only=True)
class HandOverForAll(PartyRequest[HandOverReply]):
    """`hand_over` without each party's own part."""

    verb: ClassVar = "hand_over"
    reply: ClassVar = HandOverReply
    round: Number
    stage: Stage


@dataclass(frozen=True, kw_only=True)
class HandOverOwn:
    """The size of the party's ciphertext, as it said."""

    __pydantic_config__ = STRICT
    vector: VectorSize


@dataclass(frozen=True, kw_only=True)
class HandOverRequest(HandOverForAll, HandOverOwn):
    """`hand_over`: send the ciphertext to the centre."""


@dataclass(frozen=True, kw_only=True)
class CollectReply(Leaves):
    """The leaf that commits to what has arrived; its document stays with the party."""


@dataclass(frozen=True, kw_only=True)
class CollectRequest(PartyRequest[CollectReply]):
    """`collect`: fetch and open the files of these parties."""

    verb: ClassVar = "collect"
    reply: ClassVar = CollectReply
    files: Annotated[dict[Slug, SealedFile], Field(min_length=1, max_length=256)]
