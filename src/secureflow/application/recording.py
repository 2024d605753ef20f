"""From a `Record` effect to the leaves that wait for their number.

The server's own entries are signed with the log key over a fresh salt; a party's leaf goes in
exactly as the party signed it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from secureflow.application.ports import PendingLeaf
from secureflow.engines.ledger.leaves import (
    SALT_BYTES,
    Leaf,
    commitment,
    leaf_from_json,
    sign_leaf,
)
from secureflow.engines.script import Record
from secureflow.kit.crypto import SigningKey

SERVER = "server"


def server_leaf(
    kind: str,
    document: Any,
    origin: str,
    key: SigningKey,
    at: int,
    *,
    job: str = "",
    spec: str = "",
    seq: int = 0,
    position: int = 0,
) -> PendingLeaf:
    """Sign one of the server's own deeds; `document` stays beside the log under its salt."""
    salt = secrets.token_bytes(SALT_BYTES)
    leaf = Leaf(kind, origin, SERVER, at, commitment(salt, document), job=job, spec=spec)
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
) -> list[PendingLeaf]:
    """Return the leaves of a `Record` in its order; `spec` is the job's spec digest.

    Raises:
        SecureFlowError: `malformed_leaf` for a party's leaf that is none.
    """

    def leaves() -> Iterator[PendingLeaf]:
        for position, entry in enumerate(effect.entries):
            if "signed" in entry:
                yield _foreign(job, seq, position, entry)
            else:
                yield server_leaf(
                    entry["kind"], entry["document"], origin, key, at,
                    job=job, spec=spec, seq=seq, position=position,
                )  # fmt: skip

    return list(leaves())


def _foreign(job: str, seq: int, position: int, entry: Mapping[str, Any]) -> PendingLeaf:
    signed = leaf_from_json(entry["signed"])
    salt = bytes.fromhex(entry["salt"]) if entry.get("salt") else None
    leaf = signed.leaf
    return PendingLeaf(
        job, seq, position, leaf.kind, leaf.author, signed.data(), entry.get("document"), salt
    )
