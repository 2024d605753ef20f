"""The deeds that an anchor keeps, each with the values that the function of its name takes.

Nothing that tells who or what stands in them: jobs, datasets and documents are 32-byte digests or
salted commitments, members are their charter keys, money is whole minor units. An entry is repeated
safely: where the same deed of the same sender is kept already, nothing happens (`rules`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, get_type_hints

from secureflow.kit import canonical
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_MEMBERS: Final = 1000
"""Members among whom one job's revenue is shared, as many as a charter has."""
WHOLE: Final = 10_000
"""Basis points of the whole."""
MAX_PATH: Final = 64
"""Hashes of an inclusion proof: a log has fewer than 2^64 leaves."""
SIGNATURE_WORDS: Final = 2
"""An Ed25519 signature as 32-byte values."""
_WORD: Final = 32
_HEX: Final = re.compile(r"[0-9a-f]{64}")  # `bytes.fromhex` would let spaces through
_UINT64: Final = 2**53 - 1
"""The greatest whole number that canonical JSON holds; a contract's own type is wider."""
_CONTRACT: Final = re.compile(r"evm:([1-9][0-9]{0,15}):0x([0-9a-f]{40})")
_CHAINCODE: Final = re.compile(r"fabric:[a-z0-9.-]{1,249}:[A-Za-z0-9_-]{1,128}")
_KEEPER: Final = re.compile(r"file:([0-9a-f]{64})")


@dataclass(frozen=True)
class Entry:
    """One deed. Its sender is whoever signs the transaction that carries it.

    Raises:
        SecureFlowError: `malformed_entry`.
    """

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        hints = _hints(self.kind)
        for one in fields(self):
            if not _fits(getattr(self, one.name), hints[one.name]):
                raise _malformed(self.kind, one.name)

    def json(self) -> dict[str, Any]:
        """Return kind and fields; 32-byte values as lowercase hex."""
        return {"kind": self.kind} | {
            one.name: _spelled(getattr(self, one.name)) for one in fields(self)
        }

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical JSON: the entry's natural key together with its sender."""
        return canonical.sha256(canonical.canonical_bytes(self.json()))


@dataclass(frozen=True)
class AnchorHead(Entry):
    """A head of a log: how many leaves, and the root over them (RFC 9162, §2.1).

    Args:
        log: `log_digest` of the log's origin.
        size: leaves.
        root: of those leaves.
        signature: first and second half of the log's own Ed25519 signature over the checkpoint's
            text (C2SP tlog-checkpoint): whoever knows the origin sees whether the log signed this
            head, so that two roots of one size prove a fork, and an invented one its sender's lie.
    """

    kind: ClassVar[str] = "anchor"
    log: bytes
    size: int
    root: bytes
    signature: tuple[bytes, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.signature) != SIGNATURE_WORDS:
            raise _malformed(self.kind, "signature")


@dataclass(frozen=True)
class RegisterJob(Entry):
    """A job was proposed under a spec.

    Args:
        job: `job_digest` of its id.
        spec: digest of its signed spec.
    """

    kind: ClassVar[str] = "registerJob"
    job: bytes
    spec: bytes


@dataclass(frozen=True)
class ApproveJob(Entry):
    """The sender approves a job under this spec and no other."""

    kind: ClassVar[str] = "approveJob"
    job: bytes
    spec: bytes


@dataclass(frozen=True)
class CommitDataset(Entry):
    """The sender holds a dataset.

    Args:
        dataset: salted commitment to its name, under which the sender spends.
        commitment: salted commitment to its description.
        cap: what may be spent of it in all, in millionths of epsilon; 0 is nothing.
    """

    kind: ClassVar[str] = "commitDataset"
    dataset: bytes
    commitment: bytes
    cap: int


@dataclass(frozen=True)
class CommitRound(Entry):
    """What the sender saw a round of a job give: each member says it for itself.

    Args:
        job: `job_digest`.
        round: from 1.
        aggregate: `round_digest` of the model that the round gave.
        updates: Merkle root over the round's leaves; zeros if it has none.
        attestation: digest of the enclave's evidence; zeros without one.
    """

    kind: ClassVar[str] = "commitRound"
    job: bytes
    round: int
    aggregate: bytes
    updates: bytes
    attestation: bytes


@dataclass(frozen=True)
class Spend(Entry):
    """The owner of a dataset spent privacy budget on a job, once for each job.

    Args:
        dataset: as the sender committed to it.
        job: `job_digest`.
        micro: millionths of epsilon.
    """

    kind: ClassVar[str] = "spend"
    dataset: bytes
    job: bytes
    micro: int


@dataclass(frozen=True)
class SetContributions(Entry):
    """The sender's vote on who contributed how much to a job; k equal votes stand.

    Args:
        job: `job_digest`.
        version: from 1; a higher one that stands replaces a lower one and opens the window anew.
        root: digest of the signed scores from which the shares follow.
        members: charter keys, strictly ascending.
        shares: basis points of each, `WHOLE` in sum.
        rounding: the member that gets what whole minor units leave over.
    """

    kind: ClassVar[str] = "setContributions"
    job: bytes
    version: int
    root: bytes
    members: tuple[bytes, ...]
    shares: tuple[int, ...]
    rounding: bytes

    def __post_init__(self) -> None:
        super().__post_init__()
        ascending = list(self.members) == sorted(set(self.members))
        if not ascending or len(self.members) != len(self.shares) or not self.members:
            raise _malformed(self.kind, "members")
        if sum(self.shares) != WHOLE:
            raise _malformed(self.kind, "shares")
        if self.rounding not in self.members:
            raise _malformed(self.kind, "rounding")


@dataclass(frozen=True)
class Dispute(Entry):
    """The sender disputes the shares of a job while the window is open; nothing is split then.

    Args:
        job: `job_digest`.
        version: of the contributions.
        evidence: salted commitment to the reasons.
    """

    kind: ClassVar[str] = "dispute"
    job: bytes
    version: int
    evidence: bytes


@dataclass(frozen=True)
class Withdraw(Entry):
    """The sender takes its dispute back."""

    kind: ClassVar[str] = "withdraw"
    job: bytes
    version: int


@dataclass(frozen=True)
class Split(Entry):
    """The sender's vote to share an amount by a job's standing contributions; k equal votes do it.

    Args:
        job: `job_digest`.
        version: of the contributions.
        payer: the member that owes.
        amount: minor units.
        currency: ISO 4217, three letters as bytes followed by zeros.
    """

    kind: ClassVar[str] = "split"
    job: bytes
    version: int
    payer: bytes
    amount: int
    currency: bytes


@dataclass(frozen=True)
class Settle(Entry):
    """The sender says that it paid the payee outside of the chain; the payee confirms.

    Args:
        payee: charter key.
        amount: minor units, at most what is owed.
        currency: as in `Split`.
        reference: salted commitment to the payment's reference, once for each payer.
    """

    kind: ClassVar[str] = "settle"
    payee: bytes
    amount: int
    currency: bytes
    reference: bytes


@dataclass(frozen=True)
class Confirm(Entry):
    """The sender got a payment that the payer stated: from now on it is not owed any more."""

    kind: ClassVar[str] = "confirm"
    payer: bytes
    reference: bytes


@dataclass(frozen=True)
class Admit(Entry):
    """The sender's vote on a further member; k votes of n admit it.

    Args:
        member: charter key (Ed25519, raw).
        account: the chain's own name of the member's signing key, left-padded: an EVM address,
            the SHA-256 of a Fabric identity, or the charter key itself for a file.
        signature: first and second half of the charter key's signature over `binding`.
    """

    kind: ClassVar[str] = "admit"
    member: bytes
    account: bytes
    signature: tuple[bytes, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.signature) != SIGNATURE_WORDS:
            raise _malformed(self.kind, "signature")


@dataclass(frozen=True)
class Remove(Entry):
    """The sender's vote to take a member out; what is owed to or by it stays."""

    kind: ClassVar[str] = "remove"
    member: bytes


@dataclass(frozen=True)
class Upgrade(Entry):
    """The sender's vote on where this place is continued; k votes close it for new entries.

    Args:
        successor: a new contract's address left-padded, or the digest of a new chaincode's name;
            zeros are what an open place says.
    """

    kind: ClassVar[str] = "upgrade"
    successor: bytes

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any(self.successor):
            raise _malformed(self.kind, "successor")


KINDS: Final[Mapping[str, type[Entry]]] = {
    one.kind: one
    for one in (
        AnchorHead,
        RegisterJob,
        ApproveJob,
        CommitDataset,
        CommitRound,
        Spend,
        SetContributions,
        Dispute,
        Withdraw,
        Split,
        Settle,
        Confirm,
        Admit,
        Remove,
        Upgrade,
    )
}


def job_digest(job: str) -> bytes:
    """Return what stands for a job's id: ids have 80 random bits, so that none can be guessed."""
    return canonical.sha256(b"secureflow anchor job v1\0" + job.encode())


def round_digest(job: str, model: str) -> bytes:
    """Return what stands for the model that a round of a job gave.

    The job's id is the salt, which its members and auditors know and readers of a place do not: the
    digest of a model of few whole numbers (totals of a preparation) alone could be found by trying.

    Args:
        job: its id.
        model: the model's SHA-256 in hex.
    """
    said = {"job": job, "model": model}
    return canonical.sha256(b"secureflow anchor round v1\0" + canonical.canonical_bytes(said))


def log_digest(origin: str) -> bytes:
    """Return what stands for a log's origin."""
    return canonical.sha256(b"secureflow anchor log v1\0" + origin.encode())


def currency_word(code: str) -> bytes:
    """Return a currency's code as a 32-byte value."""
    return code.encode("ascii").ljust(_WORD, b"\0")


def binding(place: str, member: bytes, account: bytes) -> bytes:
    """Return what a charter key signs to say which account of a place is the member's.

    Args:
        place: which chain and contract, channel and chaincode, or keeper (`Anchor.place`).
        member: the charter key.
        account: see `Admit`.
    """
    body = {"place": place, "member": member.hex(), "account": account.hex()}
    return b"secureflow anchor account v1\0" + canonical.canonical_bytes(body)


def successor_word(place: str, successor: str) -> bytes | None:
    """Return what stands for the place where another one is continued; None if it cannot be.

    Args:
        place: that is closed.
        successor: of the same make, a contract on the same chain.
    """
    if contract := _CONTRACT.fullmatch(successor):
        same = (known := _CONTRACT.fullmatch(place)) is not None and known[1] == contract[1]
        return bytes.fromhex(contract[2]).rjust(_WORD, b"\0") if same else None
    if keeper := _KEEPER.fullmatch(successor):
        return bytes.fromhex(keeper[1]) if _KEEPER.fullmatch(place) else None
    if _CHAINCODE.fullmatch(successor) and _CHAINCODE.fullmatch(place):
        return canonical.sha256(b"secureflow anchor successor v1\0" + successor.encode())
    return None


def parse_entry(value: canonical.JSON) -> Entry:
    """Return the entry that `Entry.json` spelled.

    Raises:
        SecureFlowError: `malformed_entry`.
    """
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise _malformed("?", "kind")
    if (made := KINDS.get(value["kind"])) is None:
        raise _malformed("?", "kind")
    hints = _hints(made.kind)
    if set(value) != {"kind", *hints}:
        raise _malformed(made.kind, "kind")
    return made(**{name: _read(made.kind, name, value[name], hints[name]) for name in hints})


@functools.cache
def _hints(kind: str) -> Mapping[str, object]:
    """Return the type of each field; an outbox reads its entries again and again."""
    made = KINDS[kind]
    hints = get_type_hints(made)
    return {one.name: hints[one.name] for one in fields(made)}


def _fits(value: object, wanted: object) -> bool:
    if wanted is int:
        return type(value) is int and 0 <= value <= _UINT64
    if wanted is bytes:
        return isinstance(value, bytes) and len(value) == _WORD
    if not isinstance(value, tuple) or len(value) > MAX_MEMBERS:
        return False
    inner = int if wanted == tuple[int, ...] else bytes
    return all(_fits(one, inner) for one in value)


def _spelled(value: bytes | int | tuple[bytes | int, ...]) -> canonical.JSON:
    if isinstance(value, tuple):
        return [_spelled(one) for one in value]
    return value.hex() if isinstance(value, bytes) else value


def _read(kind: str, name: str, value: canonical.JSON, wanted: object) -> Any:
    if wanted is int:
        return value
    if wanted is bytes:
        if not isinstance(value, str) or not _HEX.fullmatch(value):
            raise _malformed(kind, name)
        return bytes.fromhex(value)
    if not isinstance(value, list) or len(value) > MAX_MEMBERS:
        raise _malformed(kind, name)
    inner = int if wanted == tuple[int, ...] else bytes
    return tuple(_read(kind, name, one, inner) for one in value)


def _malformed(kind: str, name: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_entry",
        Text("An entry for an anchor is malformed: {kind}, field {field}.", kind=kind, field=name),
    )
