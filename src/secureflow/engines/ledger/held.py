"""A party's own stored leaves compared with a bundle: is each one in it, and if not, why?

A bundle proves what is in it. A party that was dropped, or left out, still has its signed leaves
(`secureflow agent leaves JOB`); this tells what they are worth alongside the bundle:

- `in the story`: the bundle has exactly this leaf;
- `contradicts`: the leaf is incompatible with the bundle. With an inclusion proof under the
  bundle's own head, from before the job's end, the *centre's* end left it out; or the author's
  own end does not count it, so the *author* signed two versions;
- `not provable`: the author never signed its end, so nobody can tell whether it signed this in time
  and the centre left it out, or signed it afterwards;
- `foreign`: not a leaf of this job that a party of its roster signed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from secureflow.engines.ledger.bundle_format import MAX_ENTRIES, MAX_PROOF, Bundle
from secureflow.engines.ledger.ends import CLOSED, SERVER, AuthorEnd
from secureflow.engines.ledger.leaves import SignedLeaf, leaf_from_json, verify
from secureflow.engines.ledger.merkle import leaf_hash, verify_inclusion
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Standing = Literal["in the story", "contradicts", "not provable", "foreign"]

_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HeldLeaf:
    """The standing of a leaf that its author kept, compared with a bundle; `reason` says why."""

    author: str
    kind: str
    hash: str
    standing: Standing
    reason: str = ""

    @property
    def title(self) -> str:
        """The name of this leaf in failures."""
        return Text(
            "the leaf {hash} ({kind} by {author})",
            hash=self.hash,
            kind=self.kind,
            author=self.author,
        )


def judge_held(
    bundle: Bundle,
    ends: list[AuthorEnd],
    keys: Mapping[str, str],
    value: Any,
    origins: frozenset[str] = frozenset(),
) -> list[HeldLeaf]:
    """Judge a foreign list of leaves: `[{leaf: {leaf, key, signature}, index?, proof?, …}]`.

    Args:
        bundle: the bundle.
        ends: the author ends found by `ends.judge_ends`.
        keys: party → base64 key, by charter or, without one, by the spec's roster.
        value: the list, or None; other members of its objects are ignored.
        origins: earlier names of the bundle's log.

    Raises:
        SecureFlowError: `malformed_bundle`, `malformed_leaf`.
    """
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_ENTRIES:
        raise _malformed(
            Text("they must be a list of at most {max_entries} entries", max_entries=MAX_ENTRIES)
        )
    there = {entry.signed.hash() for entry in bundle.entries}
    ended = {end.author for end in ends if end.signed}
    names = origins | {bundle.origin}
    return [_judge(bundle, there, ended, keys, one, names) for one in value]


def _judge(
    bundle: Bundle,
    there: set[str],
    ended: set[str],
    keys: Mapping[str, str],
    value: Any,
    origins: frozenset[str],
) -> HeldLeaf:
    if not isinstance(value, dict):
        raise _malformed("each of them must be an object")
    signed = leaf_from_json(value.get("leaf"))
    leaf = signed.leaf

    def found(standing: Standing, reason: str = "") -> HeldLeaf:
        return HeldLeaf(leaf.author, leaf.kind, signed.hash(), standing, reason)

    key = keys.get(leaf.author)
    foreign = leaf.job != bundle.job or leaf.origin not in origins
    if foreign or leaf.author not in bundle.roster:
        return found("foreign", "it belongs to another job, log or author")
    if key is None or not verify(signed, key):
        return found("foreign", Text("the key of {author} did not sign it", author=leaf.author))
    if signed.hash() in there:
        return found("in the story")
    if _stood_before_the_end(bundle, signed, value):
        return found("contradicts", "it is in the log before the job's end, which left it out")
    if leaf.author in ended:
        return found(
            "contradicts",
            Text("the end that {author} signed does not count it", author=leaf.author),
        )
    return found(
        "not provable",
        Text("{author} signed no end: there is only the centre's word", author=leaf.author),
    )


def _stood_before_the_end(bundle: Bundle, signed: SignedLeaf, value: dict[str, Any]) -> bool:
    index, proof = value.get("index"), value.get("proof")
    if type(index) is not int or not isinstance(proof, list) or len(proof) > MAX_PROOF:
        return False
    if not all(isinstance(one, str) and _HASH.fullmatch(one) for one in proof):
        return False
    closes = [
        entry.index
        for entry in bundle.entries
        if (entry.signed.leaf.author, entry.signed.leaf.kind) == (SERVER, CLOSED)
    ]
    head, path = bundle.note.checkpoint, [bytes.fromhex(one) for one in proof]
    proven = verify_inclusion(leaf_hash(signed.data()), index, head.size, path, head.root)
    return proven and bool(closes) and index < closes[0]


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_bundle",
        Text("The leaves to compare with the bundle are malformed: {reason}.", reason=reason),
        "Write them with: secureflow agent leaves JOB -o json.",
    )
