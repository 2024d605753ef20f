"""Which parties say, each in its own signed end of a job, that the job gave a certain model.

A party names a model in its end (`finished`) only if it compared it with its own rounds
(`engines.ledger.ends`). So of more parties than may be on the operator's side
(`domain.quorum.colluders_of`) at least one honest one did: that is what somebody can go by who was
away in the rounds that measured the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from secureflow.engines.ledger.ends import FINISHED, read_finished
from secureflow.engines.ledger.leaves import (
    MAX_LEAF_BYTES,
    SALT_BYTES,
    SignedLeaf,
    commitment,
    leaf_from_json,
    verify,
)
from secureflow.kit.errors import SecureFlowError

MAX_SHOWN_ENDS: Final = 256
"""Ends that are shown at once: as many as a roster has parties."""
_MEMBERS: Final = frozenset({"leaf", "document", "salt"})


def parties_naming(
    shown: Iterable[Any], job: str, spec: str, keys: Mapping[str, str], model: str
) -> frozenset[str]:
    """Return whose ends, among foreign ones, name this model as what the job gave.

    Only what is an end of this job and spec, opened, and signed with its author's key counts; an
    author counts once, whatever it is shown with. Anything else is passed over.

    Args:
        shown: ends as `{"leaf", "document", "salt"}`, salts in hex; at most `MAX_SHOWN_ENDS` count.
        job: its id.
        spec: hex digest of its spec.
        keys: party → base64 key, of those whose word counts.
        model: hex digest.
    """
    found: set[str] = set()
    for place, one in enumerate(shown):
        if place >= MAX_SHOWN_ENDS:
            break
        signed = _end_naming(one, model)
        if signed is None:
            continue
        leaf = signed.leaf
        key = keys.get(leaf.author)
        bound = (leaf.kind, leaf.job, leaf.spec) == (FINISHED, job, spec)
        if bound and key is not None and verify(signed, key) and _opens(signed, one):
            found.add(leaf.author)
    return frozenset(found)


def _end_naming(one: Any, model: str) -> SignedLeaf | None:
    """Return the leaf of an end that names this model; None for anything of another form."""
    if not isinstance(one, dict) or set(one) != _MEMBERS:
        return None
    read = read_finished(one["document"])
    if read is None or not model or read[2] != model:
        return None
    try:
        signed = leaf_from_json(one["leaf"])
    except SecureFlowError:
        return None
    return signed if len(signed.data()) <= MAX_LEAF_BYTES else None


def _opens(signed: SignedLeaf, one: Mapping[str, Any]) -> bool:
    """Tell whether a leaf commits to the document beside it."""
    salt = one["salt"]
    if not isinstance(salt, str) or len(salt) != 2 * SALT_BYTES:
        return False
    try:
        return commitment(bytes.fromhex(salt), one["document"]) == signed.leaf.commitment
    except (ValueError, SecureFlowError):  # no hex text
        return False
