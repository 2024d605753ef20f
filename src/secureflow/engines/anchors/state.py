"""What a place remembers, so that the rules (`rules`) can judge the next entry.

All keys and digests are lowercase hex, so that the state is JSON as it stands: a keeper writes it
to a file and reads it back. What is read is checked for its shape only: it is the keeper's own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from secureflow.engines.anchors.entries import MAX_MEMBERS, binding
from secureflow.kit.canonical import JSON, b64encode
from secureflow.kit.crypto import holds
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

VERSION: Final = 1
"""Of the state's shape."""
MOST_KEPT: Final = 1_000_000
"""Entries that one member may have kept at a place, unless the place says otherwise."""
_WORD: Final = 32
_STRICT: Final = ConfigDict(strict=True, extra="forbid")


@dataclass(frozen=True)
class Member:
    """Who is a member, and which account is the member's.

    Args:
        key: charter key (Ed25519, raw).
        account: see `entries.Admit`.
        signature: both halves of the charter key's signature over `entries.binding`.
    """

    key: bytes
    account: bytes
    signature: tuple[bytes, ...]


@checked(config=_STRICT)
class Log:
    """Heads of one log: size → roots, the first one first; and each sender's newest size.

    Args:
        signed: size → digests of the entries that are kept, each with its signature.
        others: size → who brought a root that was there under another signature.
    """

    top: int = 0
    roots: dict[str, list[str]] = field(default_factory=dict)
    latest: dict[str, int] = field(default_factory=dict)
    signed: dict[str, list[str]] = field(default_factory=dict)
    others: dict[str, list[str]] = field(default_factory=dict)


@checked(config=_STRICT)
class Dataset:
    """What a member committed to, and what it spent on which job in millionths of epsilon."""

    commitment: str
    cap: int
    spent: dict[str, int] = field(default_factory=dict)


@checked(config=_STRICT)
class Shares:
    """Contributions that stand, since when in unix seconds."""

    version: int
    root: str
    members: list[str]
    shares: list[int]
    rounding: str
    since: int


@checked(config=_STRICT)
class Job:
    """What is kept of a job.

    Args:
        specs: the registered one, then those that contradict it.
        approvals: spec → members.
        rounds: round → member → digests of what it said, the first one first.
        votes: version → member → digest of its vote on contributions.
        standing: the contributions with k votes.
        disputes: version → member → evidence.
        withdrawn: version → members whose dispute is no longer open.
        stood: digests of the votes on contributions that were carried.
        payers: version → member → digest of its vote on a split.
        split: digest of the votes that shared its revenue; empty before.
    """

    specs: list[str] = field(default_factory=list)
    approvals: dict[str, list[str]] = field(default_factory=dict)
    rounds: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    votes: dict[str, dict[str, str]] = field(default_factory=dict)
    standing: Shares | None = None
    disputes: dict[str, dict[str, str]] = field(default_factory=dict)
    withdrawn: dict[str, list[str]] = field(default_factory=dict)
    stood: list[str] = field(default_factory=list)
    payers: dict[str, dict[str, str]] = field(default_factory=dict)
    split: str = ""


@checked(config=_STRICT)
class Payment:
    """What a payer says that it paid; confirmed by its payee."""

    payee: str
    amount: int
    currency: str
    confirmed: bool = False


@checked(config=_STRICT)
class State:
    """Everything that a place remembers.

    Args:
        name: of the place, over which bindings are signed.
        window: seconds for which contributions may be disputed.
        most: entries that each member may have kept; a bound of files (`rules`).
        checks: whether the place checks bindings itself; an EVM cannot.
        members: charter key → account.
        kept: charter key → entries.
        datasets: `member/dataset`.
        owed: `payer/payee/currency` → minor units, as text: the sum of many splits may be more
            than a JSON number holds.
        payments: `payer/reference`.
        admissions: member → digest of the `Admit` → who voted for it.
        admitted: member → digest of the `Admit` that was carried; founders have none.
        removals: member → who voted for it.
        successors: successor → who voted for it.
        successor: where a closed place is continued; empty while it is open.
    """

    name: str
    window: int
    members: dict[str, str]
    most: int = MOST_KEPT
    checks: bool = True
    version: int = VERSION
    kept: dict[str, int] = field(default_factory=dict)
    logs: dict[str, Log] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)
    owed: dict[str, str] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    admissions: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    admitted: dict[str, str] = field(default_factory=dict)
    removals: dict[str, list[str]] = field(default_factory=dict)
    successors: dict[str, list[str]] = field(default_factory=dict)
    successor: str = ""

    @property
    def quorum(self) -> int:
        """How many equal votes decide: more than two thirds of the members."""
        return quorum(len(self.members))

    def decided(self, voters: Sequence[str]) -> bool:
        """Return whether enough of those who are members now voted so."""
        return sum(one in self.members for one in set(voters)) >= self.quorum

    def job(self, job: bytes) -> Job:
        """Return what is kept of a job, from now on at least that it was named."""
        return self.jobs.setdefault(job.hex(), Job())


def quorum(members: int) -> int:
    """Return k of n: ⌊2n/3⌋ + 1."""
    return 2 * members // 3 + 1


def found(
    name: str, members: Sequence[Member], window: int, *, checks: bool = True, most: int = MOST_KEPT
) -> State:
    """Return the state of a new place.

    Raises:
        SecureFlowError: `anchor_refused`: no member, one twice, or a binding that is not its
            charter key's.
    """
    keys, accounts = {one.key for one in members}, {one.account for one in members}
    if not 0 < len(members) <= MAX_MEMBERS or not len(keys) == len(accounts) == len(members):
        raise _unusable("its members or their accounts are none, too many, or named twice")
    if any(len(word) != _WORD for word in keys | accounts) or window < 0:
        raise _unusable("a key or an account has not 32 bytes, or the window is negative")
    if checks and not all(bound(name, one) for one in members):
        raise _unusable("an account is not signed by its member's charter key")
    return State(name, window, {one.key.hex(): one.account.hex() for one in members}, most, checks)


def bound(name: str, member: Member) -> bool:
    """Return whether the charter key signed that this account of the place is its own."""
    message = binding(name, member.key, member.account)
    return holds(b64encode(member.key), message, b64encode(b"".join(member.signature)))


def snapshot(state: State) -> JSON:
    """Return the state as JSON."""
    return asdict(state)


def restore(value: JSON) -> State:
    """Return the state that `snapshot` gave.

    Raises:
        SecureFlowError: `anchor_refused`.
    """
    try:
        state = TypeAdapter(State).validate_json(json.dumps(value))
    except (ValidationError, ValueError, TypeError, RecursionError) as error:
        raise _unusable("what it remembers is not of its shape") from error
    if state.version != VERSION:
        raise _unusable("what it remembers is of another version")
    return state


def _unusable(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "anchor_refused",
        Text("A place for anchors is refused: {reason}.", reason=reason),
        "Create it with the members of the charter, each with an account that its key signed.",
    )
