"""The keys in an organisation's own leaves: its present one, and earlier ones.

An organisation may change its key (docs/deploy.md, "Restore an agent"): what it signed earlier
stays in its record, under the key of that time. The pinned charter and the earlier versions in the
record give the key of each time: each version names the one before by its digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from secureflow.agent.record.store import RecordStore
from secureflow.domain.charter import Charter, SignedCharter
from secureflow.engines.ledger.leaves import SignedLeaf, verify
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

HOW_TO_PIN: Final = (
    "Compare the words with every other member by telephone and sign: secureflow agent charter "
    'sign --confirm "WORDS"; once all have signed: secureflow agent charter pin '
    '--confirm "WORDS"'
)


def own_keys(party: str, present: str, pinned: JSON, earlier: JSON) -> frozenset[str]:
    """Return the base64 keys of an organisation.

    Args:
        party: organisation slug.
        present: its current key, which a charter may not contain yet.
        pinned: the record's fact `charter`.
        earlier: the fact `charters`, oldest first.
    """
    keys = {present}
    with suppress(SecureFlowError):  # a version that cannot be read authenticates no earlier one
        for charter in _versions(pinned, earlier):
            keys.add(charter.keys.get(party, present))
    return frozenset(keys)


def recorded_keys(store: RecordStore, party: str, present: str) -> frozenset[str]:
    """Return the base64 keys of an organisation, from the charters in its record."""
    return own_keys(party, present, store.fact("charter"), store.fact("charters"))


def is_signed_by(signed: SignedLeaf, keys: frozenset[str]) -> bool:
    """Return whether a leaf has one of these keys, and a valid signature by it."""
    return signed.key in keys and verify(signed, signed.key)


def _versions(pinned: JSON, earlier: JSON) -> Iterator[Charter]:
    """Yield the pinned charter and its predecessors, newest first."""
    following: Charter | None = None
    for kept in (pinned, *reversed(earlier if isinstance(earlier, list) else [])):
        charter = SignedCharter.from_json(kept).charter
        if following is not None and following.previous != charter.digest:
            return
        yield charter
        following = charter
