"""From a `Record` effect to the leaves that wait for their number.

The server's own entries are signed with the log key over a fresh salt; a party's leaf is stored
exactly as the party signed it. The entry that closes a job gets the server's own line and names the
server's previous leaf of the job: only this module knows how the log holds them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Final

from secureflow.application.ports.storage import PendingLeaf
from secureflow.engines.ledger.ends import CLOSED, SERVER, End, line
from secureflow.engines.ledger.leaves import (
    SALT_BYTES,
    Leaf,
    commitment,
    leaf_from_json,
    sign_leaf,
)
from secureflow.engines.script import Record
from secureflow.kit.crypto import SigningKey

BEFORE_THE_SCRIPT: Final = -1
"""The `seq` of a job's proposal; later changes outside its script have smaller ones."""


def server_leaf(
    kind: str,
    document: Any,
    origin: str,
    key: SigningKey,
    at: int,
    *,
    job: str = "",
    spec: str = "",
    prev: str = "",
    seq: int = 0,
    position: int = 0,
) -> PendingLeaf:
    """Sign one of the server's own actions; `document` is stored with the log, under its salt."""
    salt = secrets.token_bytes(SALT_BYTES)
    leaf = Leaf(kind, origin, SERVER, at, commitment(salt, document), job, spec, prev)
    signed = sign_leaf(leaf, key)
    return PendingLeaf(job, seq, position, kind, SERVER, signed.data(), document, salt)


def pending_leaves(
    job: str,
    seq: int,
    effect: Record,
    origin: str,
    key: SigningKey,
    spec: str,
    at: int,
    own: End,
) -> list[PendingLeaf]:
    """Return the leaves of a `Record` in its order.

    `spec` is the job's spec digest, `own` the end of the server's leaves of the job in the log; the
    entry that closes a job comes without other server entries.

    Raises:
        SecureFlowError: `malformed_leaf` if a party's leaf is malformed.
    """

    def leaves() -> Iterator[PendingLeaf]:
        for position, entry in enumerate(effect.entries):
            if "signed" in entry:
                yield foreign_leaf(job, seq, position, entry)
            else:
                closing = entry["kind"] == CLOSED
                document = _with_own(entry["document"], own) if closing else entry["document"]
                yield server_leaf(
                    entry["kind"], document, origin, key, at,
                    job=job, spec=spec, prev=own.last if closing else "",
                    seq=seq, position=position,
                )  # fmt: skip

    return list(leaves())


def closes(effect: Record) -> bool:
    """Tell whether a `Record` holds the entry that closes its job."""
    return any(entry.get("kind") == CLOSED for entry in effect.entries)


def _with_own(document: Mapping[str, Any], own: End) -> dict[str, Any]:
    return {**document, "ends": [*document["ends"], line(SERVER, own)]}


def foreign_leaf(job: str, seq: int, position: int, entry: Mapping[str, Any]) -> PendingLeaf:
    """Return a party's leaf for the log, exactly as the party signed it.

    Raises:
        SecureFlowError: `malformed_leaf`.
    """
    signed = leaf_from_json(entry["signed"])
    salt = bytes.fromhex(entry["salt"]) if entry.get("salt") else None
    leaf = signed.leaf
    return PendingLeaf(
        job, seq, position, leaf.kind, leaf.author, signed.data(), entry.get("document"), salt
    )
