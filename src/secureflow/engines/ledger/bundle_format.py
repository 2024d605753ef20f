"""The JSON of audit bundles: how one is written, and its parser, which checks sizes first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from secureflow.domain.charter import SignedCharter
from secureflow.engines.ledger.leaves import SALT_BYTES, SignedLeaf, leaf_from_json
from secureflow.engines.ledger.merkle import MAX_SIZE
from secureflow.engines.ledger.notes import Note, parse_note
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_ENTRIES = 200_000
MAX_PROOF = 64
MAX_ROSTER = 256
MAX_DEPTH = 100
"""Deepest nesting of a bundle: a fixed bound, so that every verifier refuses the same ones."""

_HASH = re.compile(r"[0-9a-f]{64}")
MAX_HISTORY = 256
"""Charter versions, starting with the one before the first continuation."""

MAX_ANCHORS = 1000
"""Statements about anchors; each of them is bounded where it is read (`anchors.bundled`)."""

_OPTIONAL = {"history", "anchors"}
_FIELDS = {"v", "origin", "note", "job", "spec", "roster", "charter", "entries"}
_LEAST_FIELDS = 3
"""So many of its fields make a JSON object a bundle; no other document has more than two."""
_ENTRY_FIELDS = {"index", "leaf", "proof"}
_OPENED_FIELDS = _ENTRY_FIELDS | {"document", "salt"}


@dataclass(frozen=True)
class BundleEntry:
    """One leaf with its index, its inclusion proof and, if `salt` is set, its document."""

    index: int
    signed: SignedLeaf
    proof: tuple[bytes, ...]
    document: Any = None
    salt: bytes | None = None

    @property
    def title(self) -> str:
        """The name of this entry in failures."""
        leaf = self.signed.leaf
        return f"entry {self.index} ({leaf.kind} by {leaf.author})"


@dataclass(frozen=True)
class Bundle:
    """A parsed bundle; `contributors` are the (party, key) lines of its spec's roster.

    `anchors` are members' statements as they came: the record does not depend on them.
    """

    origin: str
    note: Note
    job: str
    spec: dict[str, Any]
    roster: tuple[str, ...]
    contributors: tuple[tuple[str, str], ...]
    charter: str
    entries: tuple[BundleEntry, ...]
    history: tuple[SignedCharter, ...] = ()
    anchors: tuple[Any, ...] = ()


def bundle_json(
    *,
    note: str,
    job: str,
    spec: dict[str, Any],
    charter: str,
    entries: Iterable[BundleEntry],
    history: Iterable[SignedCharter] = (),
) -> dict[str, Any]:
    """Return a bundle's JSON: the head with cosignatures, the signed spec, the charter's digest.

    Entries are in ascending order with proofs under that head; other jobs' leaves that complete an
    author's chain come without salt. `history` holds the signed charters from the version before
    the log's first continuation up to the bundle's own; most logs never had one.
    """
    charters = [one.json() for one in history]
    return {
        "v": 1,
        "origin": parse_note(note).checkpoint.origin,
        "note": note,
        "job": job,
        "spec": spec,
        "roster": [party for party, _ in _contributors(spec)],
        "charter": charter,
        "entries": [_entry_json(entry) for entry in entries],
        **({"history": charters} if charters else {}),
    }


def _entry_json(entry: BundleEntry) -> dict[str, Any]:
    proof = [node.hex() for node in entry.proof]
    closed = {"index": entry.index, "leaf": entry.signed.json(), "proof": proof}
    if entry.salt is None:
        return closed
    return closed | {"document": entry.document, "salt": entry.salt.hex()}


def resembles_bundle(value: Any) -> bool:
    """Tell whether a value is a bundle, however damaged, and no report, spec, charter or model."""
    return isinstance(value, dict) and len(_FIELDS.intersection(value)) >= _LEAST_FIELDS


def parse_bundle(value: Any) -> Bundle:
    """Parse a bundle that came from `kit.canonical.parse_json`.

    Raises:
        SecureFlowError: `malformed_bundle`, `malformed_note`, `malformed_leaf`,
            `malformed_charter`.
    """
    names = set(value) - _OPTIONAL if isinstance(value, dict) else set()
    if not isinstance(value, dict) or names != _FIELDS or not _is_one(value["v"]):
        raise _malformed(
            Text("it needs v = 1 and exactly {fields}", fields=", ".join(sorted(_FIELDS)))
        )
    if _deeper_than(value, MAX_DEPTH):
        raise _malformed(Text("it is nested deeper than {most} levels", most=MAX_DEPTH))
    for name in ("origin", "note", "job", "charter"):
        if not isinstance(value[name], str):
            raise _malformed(Text("{name} must be a string", name=name))
    listed = value["entries"]
    if not isinstance(listed, list) or len(listed) > MAX_ENTRIES:
        raise _malformed(
            Text("entries must be a list of at most {max_entries} entries", max_entries=MAX_ENTRIES)
        )
    spec = value["spec"]
    return Bundle(
        origin=value["origin"],
        note=parse_note(value["note"]),
        job=value["job"],
        spec=spec,
        roster=_roster(value["roster"]),
        contributors=_contributors(spec),
        charter=value["charter"],
        entries=tuple(_entry(one) for one in listed),
        history=parse_history(value.get("history", [])),
        anchors=_anchors(value.get("anchors", [])),
    )


def _is_one(value: Any) -> bool:
    return type(value) is int and value == 1  # nor 1.0 or true, which Python takes for equal


def _deeper_than(value: Any, most: int) -> bool:
    """Tell whether lists and objects are nested deeper: what follows walks them recursively."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return most == 0 or any(_deeper_than(one, most - 1) for one in inner)


def parse_history(value: Any) -> tuple[SignedCharter, ...]:
    """Parse the charters of a bundle, or those that a reader keeps beside the pinned one.

    Raises:
        SecureFlowError: `malformed_bundle`, `malformed_charter`.
    """
    if not isinstance(value, list) or len(value) > MAX_HISTORY:
        raise _malformed(
            Text(
                "history must be a list of at most {max_history} charters", max_history=MAX_HISTORY
            )
        )
    return tuple(SignedCharter.from_json(one) for one in value)


def _anchors(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list) or len(value) > MAX_ANCHORS:
        raise _malformed(
            Text("anchors must be a list of at most {max_anchors} entries", max_anchors=MAX_ANCHORS)
        )
    return tuple(value)


def _roster(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_ROSTER:
        raise _malformed(
            Text("roster must be a list of 1 to {max_roster} parties", max_roster=MAX_ROSTER)
        )
    if not all(isinstance(one, str) for one in value) or len(set(value)) != len(value):
        raise _malformed("roster must name each party once")
    return tuple(value)


def _contributors(spec: Any) -> tuple[tuple[str, str], ...]:
    """Read the roster from the spec, the only part of it that an audit needs."""
    lines = spec.get("roster") if isinstance(spec, dict) else None
    if not isinstance(lines, list) or len(lines) > MAX_ROSTER:
        raise _malformed("spec must be a job spec with a roster")
    canonical_bytes(spec)
    pairs = [
        (line.get("party"), line.get("key")) if isinstance(line, dict) else (None, None)
        for line in lines
    ]
    if not all(isinstance(part, str) for pair in pairs for part in pair):
        raise _malformed("a line of the spec's roster has no party or no key")
    return tuple((str(party), str(key)) for party, key in pairs)


def _entry(value: Any) -> BundleEntry:
    if not isinstance(value, dict) or set(value) not in (_ENTRY_FIELDS, _OPENED_FIELDS):
        raise _malformed("an entry needs index, leaf and proof, and may have document with salt")
    index = value["index"]
    if type(index) is not int or not 0 <= index < MAX_SIZE:
        raise _malformed("an entry's index is out of range")
    proof = value["proof"]
    if not isinstance(proof, list) or len(proof) > MAX_PROOF:
        raise _malformed(
            Text(
                "the proof of entry {index} must be a list of at most {max_proof} hashes",
                index=index,
                max_proof=MAX_PROOF,
            )
        )
    path = tuple(_hash(one, Text("the proof of entry {index}", index=index)) for one in proof)
    signed = leaf_from_json(value["leaf"])
    if "salt" not in value:
        return BundleEntry(index, signed, path)
    salt = _hash(value["salt"], Text("the salt of entry {index}", index=index))
    canonical_bytes(value["document"])
    return BundleEntry(index, signed, path, value["document"], salt)


def _hash(value: Any, what: str) -> bytes:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise _malformed(
            Text("{what} must be hex of {salt_bytes} bytes", what=what, salt_bytes=SALT_BYTES)
        )
    return bytes.fromhex(value)


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_bundle",
        Text("The audit bundle is malformed: {reason}.", reason=reason),
        "Export it again: secureflow audit export JOB.",
    )
