"""A file that convicts a log: two heads that it signed and that cannot both be of one history.

It convinces who has nothing but the log's key, offline. Two cases are proof:

- `two_roots`: two roots of one size. No log has two histories of as many leaves.
- `other_prefix`: heads of sizes m < n, and a proof in the tree of the larger one (a consistency
  proof of RFC 9162 from m to n) from which another root of its first m leaves follows than the one
  that was signed. Its hashes are nodes of that tree (`merkle.prefix_root`), so an honest log has
  none: whoever makes one for it has found a collision of SHA-256.

Everything else is an alarm and no proof: a log that shows a smaller head than before (the smaller
one may be older), that denies a head, or gives no consistency proof. It signed nothing of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from secureflow.domain.charter import Charter, SignedCharter, accept_first
from secureflow.engines.ledger.gaps import beyond_its_key
from secureflow.engines.ledger.merkle import prefix_root, verify_consistency
from secureflow.engines.ledger.notes import Note, parse_note
from secureflow.engines.ledger.setback import head_only
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

FORMAT: Final = "secureflow/log-fraud/v1"
MAX_FRAUD: Final = 2 << 20
"""Bytes of such a file."""
MAX_PROOF: Final = 64

Case = Literal["two_roots", "other_prefix"]
Status = Literal["proved", "proved, unauthenticated", "not proved"]

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = frozenset({"format", "origin", "log_key", "notes", "prefix", "charter"})


@dataclass(frozen=True)
class Prefix:
    """What the larger tree has for its first leaves, and the proof of that."""

    root: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True)
class Fraud:
    """A parsed file; it proves nothing until `verify_fraud` says so."""

    origin: str
    log_key: str
    notes: tuple[Note, Note]
    prefix: Prefix | None
    charter: SignedCharter | None


@dataclass(frozen=True)
class FraudVerdict:
    """What a file proves.

    Args:
        status: `proved` where the reader's own charter or key is that of the file.
        case: which contradiction; "" if there is none.
        origin: the log.
        log_key: that signed both heads, base64.
        sizes: of both heads.
        roots: of both, in hex.
        failures: why it proves nothing.
        charter: digest of the charter in the file, "" without.
    """

    status: Status
    case: Case | Literal[""]
    origin: str
    log_key: str
    sizes: tuple[int, int]
    roots: tuple[str, str]
    failures: tuple[str, ...] = ()
    charter: str = ""

    @property
    def ok(self) -> bool:
        """Whether a reader who gave a charter or key has the log convicted."""
        return self.status == "proved"


def convict(
    known: str,
    shown: str,
    log_key: str,
    proof: Sequence[bytes] = (),
    candidates: Iterable[bytes] = (),
    charter: SignedCharter | None = None,
) -> dict[str, JSON] | None:
    """Return the file that two notes make; None if they prove nothing to others.

    Args:
        known: a note.
        shown: another one.
        log_key: that signed both.
        proof: what the log gave as the consistency proof between both sizes.
        candidates: where the smaller root may stand (`merkle.prefix_root`).
        charter: the one that names the key.
    """
    try:
        first, second = parse_note(known), parse_note(shown)
        bare = [head_only(known), head_only(shown)]
    except SecureFlowError:
        return None
    if first.checkpoint.size > second.checkpoint.size:
        first, second, bare = second, first, bare[::-1]
    one, two = first.checkpoint, second.checkpoint
    root = prefix_root(one.size, two.size, two.root, proof, candidates)
    prefix = None if root is None else {"root": root.hex(), "proof": [node.hex() for node in proof]}
    made: dict[str, JSON] = {
        "format": FORMAT,
        "origin": one.origin,
        "log_key": log_key,
        "notes": [*bare],
        "prefix": prefix,
        "charter": None if charter is None else charter.json(),
    }
    # A charter that convinces no stranger by itself must not keep the proof back.
    tried = (made, {**made, "charter": None})
    return next((one for one in tried if verify_fraud(one, key=log_key).ok), None)


def parse_fraud(value: Any) -> Fraud:
    """Read a foreign file that came from `kit.canonical.parse_json`.

    Raises:
        SecureFlowError: `malformed_fraud`, `malformed_note`, `malformed_charter`.
    """
    if not isinstance(value, dict) or set(value) != _FIELDS or value["format"] != FORMAT:
        raise _malformed(Text("it needs the format {format} and its fields", format=FORMAT))
    notes = value["notes"]
    texts = [value["origin"], value["log_key"], *(notes if isinstance(notes, list) else [None])]
    if len(texts) != 4 or not all(isinstance(one, str) for one in texts):
        raise _malformed("it needs an origin, a key and two notes")
    charter = value["charter"]
    return Fraud(
        origin=texts[0],
        log_key=texts[1],
        notes=(parse_note(texts[2]), parse_note(texts[3])),
        prefix=None if value["prefix"] is None else _prefix(value["prefix"]),
        charter=None if charter is None else SignedCharter.from_json(charter),
    )


def verify_fraud(value: Any, pinned: Charter | None = None, key: str = "") -> FraudVerdict:
    """Judge a file.

    Args:
        value: parsed JSON.
        pinned: the charter that the reader pinned.
        key: or the log's key in base64 that the reader knows.

    Raises:
        SecureFlowError: `malformed_fraud`, `malformed_note`, `malformed_charter`.
    """
    fraud = parse_fraud(value)
    case, failures = _contradiction(fraud)
    failures += _key_failures(fraud, pinned, key)
    heads = [note.checkpoint for note in fraud.notes]
    status: Status = "proved" if pinned is not None or key else "proved, unauthenticated"
    return FraudVerdict(
        status="not proved" if failures else status,
        case=case,
        origin=fraud.origin,
        log_key=fraud.log_key,
        sizes=(heads[0].size, heads[1].size),
        roots=(heads[0].root.hex(), heads[1].root.hex()),
        failures=tuple(failures),
        charter="" if fraud.charter is None else fraud.charter.charter.digest,
    )


def _contradiction(fraud: Fraud) -> tuple[Case | Literal[""], list[str]]:
    one, two = (note.checkpoint for note in fraud.notes)
    failures: list[str] = [
        Text("the head of size {size} is not signed by the log", size=note.checkpoint.size)
        for note in fraud.notes
        if note.checkpoint.origin != fraud.origin or not note.verify_log(fraud.log_key)
    ]
    if one.size == two.size:
        if one.root == two.root:
            return "", [*failures, "both heads are the same"]
        unfit: list[str] = ["two roots of one size need no other proof"] if fraud.prefix else []
        return "two_roots", failures + unfit
    prefix = fraud.prefix
    if prefix is None or one.size > two.size:
        return "", [*failures, "heads of two sizes need the proof of another prefix"]
    if prefix.root == one.root:
        return "", [*failures, "the larger tree begins with the smaller one"]
    if not verify_consistency(one.size, two.size, prefix.root, two.root, prefix.proof):
        return "", [*failures, "the proof of another prefix does not hold"]
    return "other_prefix", failures


def _key_failures(fraud: Fraud, pinned: Charter | None, key: str) -> list[str]:
    """Return why the key in the file is not that of the log."""
    failures: list[str] = []
    pair = (fraud.origin, fraud.log_key)
    if key and key != fraud.log_key:
        failures.append("the heads are signed by another key than the one given")
    if pinned is not None and pair not in pinned.log_keys.items():
        failures.append("the charter given names no such log with this key")
    inside = None if fraud.charter is None else fraud.charter.charter
    named = [one for one in (pinned, inside) if one is not None]
    failures += [
        Text("the head of size {size} is signed by a key after its end: it is not the log's",
             size=note.checkpoint.size)
        for note in fraud.notes
        if any(beyond_its_key(one, note) is not None for one in named)
    ]  # fmt: skip
    if fraud.charter is None:
        return failures
    if pair not in fraud.charter.charter.log_keys.items():
        failures.append("the charter in the file names no such log with this key")
    try:
        accept_first(fraud.charter)
    except SecureFlowError:
        failures.append("not every member has signed the charter in the file")
    return failures


def _prefix(value: Any) -> Prefix:
    if not isinstance(value, Mapping) or set(value) != {"root", "proof"}:
        raise _malformed("prefix needs root and proof")
    proof = value["proof"]
    if not isinstance(proof, list) or len(proof) > MAX_PROOF:
        raise _malformed(Text("a proof has at most {most} hashes", most=MAX_PROOF))
    return Prefix(_hash(value["root"]), tuple(_hash(one) for one in proof))


def _hash(value: Any) -> bytes:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise _malformed("a hash must be a hex SHA-256")
    return bytes.fromhex(value)


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_fraud",
        Text("The proof of fraud is malformed: {reason}.", reason=reason),
        "Ask its sender for the file that the agent wrote.",
    )
