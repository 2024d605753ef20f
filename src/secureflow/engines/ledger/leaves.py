"""One entry of the log: a leaf, signed by the party that caused it.

A leaf carries no data, only a *commitment* SHA-256(salt ‖ JCS(document)) under a fresh 32-byte
salt: the document stays with those who may see it, and erasing salt and document erases the
meaning. `prev` is the hash of the author's previous leaf, so an author's leaves form a chain of
their own, and anyone who drops or reorders one breaks it (docs/threat-model.md, "Ledger").
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from secureflow.engines.ledger.merkle import leaf_hash
from secureflow.engines.ledger.notes import is_key_name
from secureflow.kit import crypto
from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_LEAF_BYTES = 4096
SALT_BYTES = 32

_KIND = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_JOB = re.compile(r"[A-Za-z0-9_.-]{0,64}")
_AUTHOR = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{86}==")


@dataclass(frozen=True)
class Leaf:
    """The body that the author signs.

    `kind` names what was done (`approved`, `attested`, …), `origin` the log, `job` and `spec` (hex
    digest) the work or "", `author` an organisation's slug, `server` or `enclave`, `prev` the hex
    hash of the author's previous leaf or "", `at` Unix seconds, `commitment` a hex SHA-256.
    """

    kind: str
    origin: str
    author: str
    at: int
    commitment: str
    job: str = ""
    spec: str = ""
    prev: str = ""
    v: int = 1

    def json(self) -> dict[str, Any]:
        """Return the JSON body."""
        return dict(vars(self))

    def problem(self) -> str | None:
        """Return what is wrong with this body, None if it is valid."""
        texts = (self.kind, self.author, self.job, self.commitment, self.spec, self.prev)
        if not all(isinstance(text, str) for text in texts):
            return "a field that should be text is none"
        rules = {
            "v": type(self.v) is int and self.v == 1,
            "kind": bool(_KIND.fullmatch(self.kind)),
            "origin": is_key_name(self.origin),
            "author": bool(_AUTHOR.fullmatch(self.author)),
            "job": bool(_JOB.fullmatch(self.job)),
            "spec": not self.spec or bool(_DIGEST.fullmatch(self.spec)),
            "prev": not self.prev or bool(_DIGEST.fullmatch(self.prev)),
            "commitment": bool(_DIGEST.fullmatch(self.commitment)),
            "at": type(self.at) is int and 0 <= self.at < 1 << 53,
        }
        wrong = [name for name, right in rules.items() if not right]
        return f"{', '.join(wrong)} not as the format demands" if wrong else None


@dataclass(frozen=True)
class SignedLeaf:
    """A leaf with its author's base64 key and signature: the data of one log entry."""

    leaf: Leaf
    key: str
    signature: str

    def json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"leaf": self.leaf.json(), "key": self.key, "signature": self.signature}

    def data(self) -> bytes:
        """Return the canonical bytes that the log stores and hashes."""
        return self._data

    def hash(self) -> str:
        """Return the hex RFC 9162 leaf hash."""
        return leaf_hash(self._data).hex()

    @cached_property
    def _data(self) -> bytes:
        # For text and small integers under ASCII keys this *is* RFC 8785, at a tenth of its cost
        # (a test compares the two); the log's throughput depends on it.
        text = json.dumps(self.json(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return text.encode()


def commitment(salt: bytes, document: Any) -> str:
    """Return the hex SHA-256 over a 32-byte salt and the document's canonical JSON.

    Raises:
        SecureFlowError: `malformed_leaf` for a salt of another length, `not_canonical`.
    """
    if len(salt) != SALT_BYTES:
        raise _malformed(
            Text(
                "a salt has {salt_bytes} bytes, not {count}", salt_bytes=SALT_BYTES, count=len(salt)
            )
        )
    return hashlib.sha256(salt + canonical_bytes(document)).hexdigest()


def sign_leaf(leaf: Leaf, key: crypto.SigningKey) -> SignedLeaf:
    """Sign a leaf as its author.

    Raises:
        SecureFlowError: `malformed_leaf` for a body that no parser would accept.
    """
    problem = leaf.problem()
    if problem:
        raise _malformed(problem)
    return SignedLeaf(leaf, key.public, key.sign("leaf", leaf.json()))


def verify(signed: SignedLeaf, expected_key: str) -> bool:
    """Tell whether the leaf carries the expected base64 key and that key's signature."""
    if signed.key != expected_key:
        return False
    return crypto.verify(expected_key, "leaf", signed.leaf.json(), signed.signature)


def parse_leaf(data: bytes) -> SignedLeaf:
    """Parse foreign leaf data: at most 4 KiB, exactly the known fields, canonical bytes.

    Raises:
        SecureFlowError: `malformed_leaf` naming the reason.
    """
    if len(data) > MAX_LEAF_BYTES:
        raise _malformed(
            Text(
                "it has {count} bytes, more than {max_leaf_bytes}",
                count=len(data),
                max_leaf_bytes=MAX_LEAF_BYTES,
            )
        )
    try:
        value = parse_json(data, MAX_LEAF_BYTES)
    except SecureFlowError as error:
        raise _malformed(error.message) from error
    signed = leaf_from_json(value)
    if signed.data() != data:
        # Otherwise one leaf would have many encodings, each with a hash of its own.
        raise _malformed("it is not in canonical form")
    return signed


def leaf_from_json(value: Any) -> SignedLeaf:
    """Build a signed leaf from parsed foreign JSON.

    Raises:
        SecureFlowError: `malformed_leaf` naming the reason.
    """
    if not isinstance(value, dict) or set(value) != {"leaf", "key", "signature"}:
        raise _malformed("it needs exactly leaf, key and signature")
    body, key, signature = value["leaf"], value["key"], value["signature"]
    if not isinstance(body, dict) or set(body) != _FIELDS:
        raise _malformed(Text("its body needs exactly {fields}", fields=", ".join(sorted(_FIELDS))))
    if not (isinstance(key, str) and _KEY.fullmatch(key)):
        raise _malformed("its key is no base64 of 32 bytes")
    if not (isinstance(signature, str) and _SIGNATURE.fullmatch(signature)):
        raise _malformed("its signature is no base64 of 64 bytes")
    leaf = Leaf(**body)
    problem = leaf.problem()
    if problem:
        raise _malformed(problem)
    return SignedLeaf(leaf, key, signature)


_FIELDS = {field.name for field in fields(Leaf)}


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_leaf",
        Text("The ledger leaf is malformed: {reason}.", reason=reason),
        "A leaf is the canonical JSON that its author signed; ask the author for it again.",
    )
