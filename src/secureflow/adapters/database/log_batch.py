"""The input and the result of one transaction of the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from secureflow.adapters.database.tables import JsonText
from secureflow.application.ports.storage import PendingLeaf
from secureflow.engines.ledger import merkle
from secureflow.engines.ledger.ends import SERVER
from secureflow.engines.ledger.leaves import SignedLeaf, parse_leaf, sign_leaf, verify
from secureflow.kit.crypto import SigningKey


@dataclass(frozen=True)
class Candidate:
    """A leaf to be numbered; `arrival` is its row in `log_submissions`, None for a direct one.

    `effect` is the (job, seq) that submitted it, `position` its place there; `document` is JSON
    text, as it is stored.
    """

    signed: SignedLeaf
    document: str | None
    salt: bytes | None = field(repr=False)
    arrival: int | None = None
    effect: tuple[str, int] = ("", 0)
    position: int = 0

    @classmethod
    def direct(cls, leaf: PendingLeaf) -> Candidate:
        """Make one from a leaf outside a job's transaction; raises `malformed_leaf`."""
        return cls(parse_leaf(leaf.data), JsonText.dump(leaf.document), leaf.salt)


@dataclass(frozen=True)
class Batch:
    """The result of one transaction: a head, and the numbers of the direct leaves in order.

    `landed` holds the numbers of each effect's leaves, if this batch has all of them; `more` tells
    whether submissions are left.
    """

    size: int
    note: str
    numbers: tuple[int, ...]
    more: bool
    landed: Mapping[tuple[str, int], tuple[int, ...]] = field(default_factory=dict)


def landed_of(
    submitted: Sequence[Candidate], numbers: Sequence[int], *, cut: bool
) -> dict[tuple[str, int], tuple[int, ...]]:
    """Group numbers by effect; one whose leaves are split over batches (`cut`) is left out."""
    landed: dict[tuple[str, int], tuple[int, ...]] = {}
    for candidate, number in zip(submitted, numbers, strict=True):
        before = landed.get(candidate.effect, ())
        if candidate.position == len(before):
            landed[candidate.effect] = (*before, number)
    if cut:
        landed.pop(submitted[-1].effect, None)
    return landed


def signed_again(candidate: Candidate, ended: str, key: SigningKey, origin: str) -> Candidate:
    """Return a leaf of the centre under the log's new key, if the key that ended signed it.

    It was submitted before the key changed and has no number yet: under the old key it would count
    for nothing. Leaves of the members, and what no key of the log signed, stay as they are.
    """
    signed = candidate.signed
    if signed.leaf.author != SERVER or signed.key != ended or not verify(signed, ended):
        return candidate
    return replace(candidate, signed=sign_leaf(replace(signed.leaf, origin=origin), key))


def row_of(candidate: Candidate) -> dict[str, Any]:
    """Return a candidate's row of `log_leaves`."""
    leaf, data = candidate.signed.leaf, candidate.signed.data()
    return {
        "hash": merkle.leaf_hash(data),
        "data": data,
        "job": leaf.job,
        "kind": leaf.kind,
        "author": leaf.author,
        "at": leaf.at,
        "document": candidate.document,
        "salt": candidate.salt,
    }
