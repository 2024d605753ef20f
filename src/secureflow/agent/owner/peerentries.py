"""What the peers of a job signed for each of its attempts: evidence, kept whatever the centre does.

A peer enters an attempt with a signed leaf that commits to what it puts in. This agent keeps leaf,
document and salt before it computes anything with that peer, so that a list which somebody shows
later can be compared with the one that was committed to, without the centre's log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secureflow.agent.record.store import RecordStore
from secureflow.engines.ledger.leaves import commitment, leaf_from_json, verify
from secureflow.engines.run.attempts import ATTEMPT
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import objects
from secureflow.kit.text import Text


def kept_under(job: str, attempt: int) -> str:
    """Return the name under which the entries of an attempt are in the record."""
    return f"peer_entries/{job}/{attempt}"


def peer_entries(store: RecordStore, job: str) -> list[dict[str, JSON]]:
    """Return every peer's entry into each attempt of a job, in their order.

    `entry` is `{"leaf", "document", "salt"}` as the peer signed it, `key` its key of the approved
    roster, `holds` whether the leaf is signed by it and commits to the document.

    Raises:
        SecureFlowError: `not_found`.
    """
    record = store.job(job)
    if record is None:
        raise SecureFlowError(
            "not_found",
            Text("This agent has approved no job {job}.", job=job[:80]),
            "secureflow agent log shows its jobs.",
        )
    keys = {
        str(one.get("party")): str(one.get("key")) for one in objects(record.spec.get("roster"))
    }
    most = record.spec.get("attempts")
    numbers = range(1, most + 1) if type(most) is int else ()
    kept = ((number, store.answer(kept_under(job, number)) or {}) for number in numbers)
    return [
        _told(job, number, peer, entry, keys.get(peer, ""))
        for number, entries in kept
        for peer, entry in sorted(entries.items())
    ]


def _told(
    job: str, attempt: int, peer: str, entry: Mapping[str, Any], key: str
) -> dict[str, JSON]:  # fmt: skip
    signed, document = leaf_from_json(entry["leaf"]), entry["document"]
    leaf = signed.leaf
    own = (leaf.kind, leaf.author, leaf.job) == (ATTEMPT, peer, job) and verify(signed, key)
    opens = commitment(bytes.fromhex(entry["salt"]), document) == leaf.commitment
    return {
        "attempt": attempt,
        "party": peer,
        "inputs": document.get("inputs"),
        "count": document.get("count"),
        "at": leaf.at,
        "leaf": signed.hash(),
        "key": key,
        "holds": own and opens,
        "entry": dict(entry),
    }
