"""What the rules say of an entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from secureflow.engines.anchors.entries import Entry

Result = Literal["kept", "known", "fork", "refused"]
KEPT: Final = "kept"
KNOWN: Final = "known"
FORK: Final = "fork"
REFUSED: Final = "refused"

REASONS: Final = (
    "stranger",
    "closed",
    "full",
    "smaller",
    "other_signature",
    "different",
    "not_committed",
    "over_cap",
    "in_use",
    "not_bound",
    "no_member",
    "last_member",
    "old_version",
    "already_split",
    "not_standing",
    "window_over",
    "window_open",
    "disputed",
    "no_dispute",
    "no_amount",
    "not_owed",
    "no_payment",
)
"""Why an entry is refused."""

Brought = Literal["stands", "split", "admitted", "removed", "closed"]


@dataclass(frozen=True)
class Event:
    """What everybody sees.

    Args:
        name: the result of the entry, or what it brought about: contributions `stands`, a `split`,
            a member `admitted` or `removed`, the place `closed`.
        entry: which entry did it.
        sender: charter key in lowercase hex; empty of a stranger.
        at: unix seconds by the place's clock.
        reason: why it was refused.
    """

    name: Result | Brought
    entry: Entry
    sender: str
    at: int
    reason: str = ""


@dataclass(frozen=True)
class Judged:
    """A result, the reason of a refusal, and what else came about."""

    result: Result
    reason: str = ""
    brought: tuple[Brought, ...] = ()


def kept(*brought: Brought, fork: bool = False) -> Judged:
    """Say that an entry is kept, beside another that it contradicts if it is a fork."""
    return Judged(FORK if fork else KEPT, brought=brought)


def refused(reason: str) -> Judged:
    """Say why an entry is refused: one of `REASONS`."""
    return Judged(REFUSED, reason)


def against(reason: str, *, again: bool) -> Judged:
    """Say that a vote cannot be taken now; one that was kept before does no harm."""
    return Judged(KNOWN) if again else refused(reason)


def counted(*, again: bool) -> Judged:
    """Say that a vote is not carried yet; it is kept the first time."""
    return Judged(KNOWN) if again else kept()
