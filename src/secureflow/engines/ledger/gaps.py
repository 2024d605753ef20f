"""The gaps of a log in an audit bundle: every rollback after which its members continued it.

A change of the log's key is one as well, of no entries: under the key that ended, nothing counts
beyond the head with which it ended.

A bundle that was made after a continuation carries the signed charters, starting with the version
before the first one, and the entry with which each new origin begins. So a reader who pinned any
of these versions sees each gap, who signed for it, and that none is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from secureflow.domain.charter import Charter, SignedCharter, accept_change, is_change_quorum
from secureflow.domain.continuation import Continuation
from secureflow.engines.ledger.bundle_format import Bundle, BundleEntry
from secureflow.engines.ledger.ends import SERVER
from secureflow.engines.ledger.notes import Note, parse_note
from secureflow.kit.canonical import JSON, canonical_bytes
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

CONTINUED: Final = "log.continued"
"""The kind of the entry with which a new origin begins."""


@dataclass(frozen=True)
class Gap:
    """A rollback: the log `origin` had `size` entries, continued as `continued_as` with `start`.

    `at` is the time of the continuation's own entry in unix seconds (0 if the bundle lacks it),
    `signed` the members of the version before who signed it, `members` their total number. For a
    change of the log's key, `ended_key` is the old one and `reason` why; else both are empty.
    """

    origin: str
    continued_as: str
    size: int
    start: int
    lost: int
    at: int
    signed: tuple[str, ...]
    members: int
    ended_key: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Lineage:
    """The charter under which a bundle was made, as far as it follows from the pinned one.

    `origins` are the log's names up to then.
    """

    charter: Charter | None
    origins: frozenset[str]
    gaps: tuple[Gap, ...] = ()
    failures: tuple[str, ...] = ()


def continued_document(charter: Charter, withdrawn: str) -> dict[str, JSON]:
    """Return the document of a continuation's own entry.

    Args:
        charter: the version that continues the log.
        withdrawn: the greatest head that the log signed under its old name and takes back: it
            convicts the log permanently; empty if it signed none after the rollback.
    """
    last = charter.continuations[-1].json()
    return {"charter": charter.digest, "continuation": last, "withdrawn": withdrawn}


def lineage_of(bundle: Bundle, pinned: Charter | None, known: Sequence[SignedCharter]) -> Lineage:
    """Find the bundle's charter from the pinned one, forwards or backwards, and its gaps.

    Args:
        bundle: the bundle.
        pinned: the charter that the reader pinned; None if there is none.
        known: earlier versions that the reader kept.
    """
    versions = {one.charter.digest: one for one in (*known, *bundle.history)}
    made = versions.get(bundle.charter)
    charter = made.charter if made else None
    found: list[str] = []
    if pinned is not None and bundle.charter != pinned.digest:
        back = made is not None and _path(pinned, versions, bundle.charter)
        path = _path(charter, versions, pinned.digest) if charter and not back else None
        if path:
            found += _forward(pinned, path)
        elif not back:
            charter = pinned
            found.append("the bundle was made under another charter than the one given")
    elif pinned is not None:
        charter = pinned
    gaps = []
    for gap, wrong in _gaps(bundle, charter, versions):
        gaps.append(gap)
        found += wrong
    # What happened to the log after this bundle was made is always reported as well.
    gaps += [gap for gap, _ in _gaps(bundle, pinned, versions)[len(gaps) :]]
    earlier = [one.origin for one in charter.continuations] if charter else []
    return Lineage(charter, frozenset({bundle.origin, *earlier}), tuple(gaps), tuple(found))


def _gaps(
    bundle: Bundle, charter: Charter | None, versions: Mapping[str, SignedCharter]
) -> list[tuple[Gap, list[str]]]:
    """Return each gap in a charter's history, with what the bundle lacks to confirm it."""
    if charter is None:
        return []
    newest = versions.get(charter.digest, SignedCharter(charter))
    path = [*reversed(_earlier(charter, versions)), newest]
    names = [one.origin for one in charter.continuations[1:]] + [charter.origin]
    origins = names[: len(charter.continuations)]
    return [_gap(bundle, charter, number, name, path) for number, name in enumerate(origins, 1)]


def _gap(
    bundle: Bundle, charter: Charter, number: int, name: str, path: Sequence[SignedCharter]
) -> tuple[Gap, list[str]]:
    """Judge the continuation with this number; `path` are versions that follow by their hashes."""
    one = charter.continuations[number - 1]
    entry = _entry(bundle, one, name)
    wrong: list[str] = (
        []
        if entry
        else [Text("the entry with which {name} begins is not in the bundle", name=name)]
    )
    opening = next((two for two in pairwise(path) if _opens(*two, number)), None)
    signed, members = frozenset[str](), 0
    if opening is None:
        wrong.append(Text("the continuation of {origin} is not in the bundle", origin=one.origin))
    else:
        before, after = opening
        signed, members = after.signers(before.charter.keys), len(before.charter.members)
        if not is_change_quorum(len(signed), members):
            wrong.append(
                Text(
                    "the continuation of {origin} is signed by {count} of {members} members",
                    origin=one.origin,
                    count=len(signed),
                    members=members,
                )
            )
        if entry is not None and not _says(entry, after.charter, one):
            wrong.append(
                Text("the entry with which {name} begins names another continuation", name=name)
            )
    if not signed_by_the_log(one, charter.log_keys[one.origin]):
        wrong.append(Text("the old head of {origin} is not signed by the log", origin=one.origin))
    at = entry.signed.leaf.at if entry else 0
    counted = one.size, one.start, one.lost, at, tuple(sorted(signed)), members
    return Gap(one.origin, name, *counted, one.log_key, one.reason), wrong


def _opens(before: SignedCharter, after: SignedCharter, number: int) -> bool:
    """Tell whether the continuation with this number came with the later of two versions."""
    counts = len(before.charter.continuations), len(after.charter.continuations)
    return counts == (number - 1, number)


def _entry(bundle: Bundle, one: Continuation, name: str) -> BundleEntry | None:
    for entry in bundle.entries:
        leaf = entry.signed.leaf
        if entry.index == one.start and (leaf.kind, leaf.author) == (CONTINUED, SERVER):
            return entry if leaf.origin == name and entry.salt is not None else None
    return None


def _says(entry: BundleEntry, charter: Charter, one: Continuation) -> bool:
    document = entry.document
    if not isinstance(document, dict) or document.get("charter") != charter.digest:
        return False
    # By their canonical form, which is what was committed to: Python takes true for 1.
    return canonical_bytes(document.get("continuation")) == canonical_bytes(one.json())


def beyond_its_key(charter: Charter, note: Note) -> Continuation | None:
    """Return the change of the key that a head contradicts: signed by the old key, after its end.

    Args:
        charter: the newest that is known.
        note: a foreign head; one that the old key did not sign contradicts nothing.
    """
    head = note.checkpoint
    for one in charter.continuations:
        if not one.changes_key or one.origin != head.origin:
            continue
        later = head.size > one.size or (head.size == one.size and head.root.hex() != one.root)
        return one if later and note.verify_log(one.log_key) else None
    return None


def leaf_beyond_its_key(charter: Charter, entry: BundleEntry) -> bool:
    """Tell whether a leaf of the centre lies after the end of the key of its name."""
    leaf = entry.signed.leaf
    return leaf.author == SERVER and any(
        one.changes_key and leaf.origin == one.origin and entry.index >= one.size
        for one in charter.continuations
    )


def signed_by_the_log(one: Continuation, log_key: str) -> bool:
    """Tell whether the log signed the old head that a continuation names."""
    try:
        note = parse_note(one.note)
    except SecureFlowError:
        return False
    head = note.checkpoint
    same = (head.origin, head.size, head.root.hex()) == (one.origin, one.size, one.root)
    return same and note.verify_log(log_key)


def _earlier(charter: Charter, versions: Mapping[str, SignedCharter]) -> list[SignedCharter]:
    """Return the earlier versions, following the hashes, newest first."""
    path: list[SignedCharter] = []
    while (step := versions.get(charter.previous)) is not None:  # no hash leads to itself
        path.append(step)
        charter = step.charter
    return path


def _path(
    newer: Charter, versions: Mapping[str, SignedCharter], digest: str
) -> list[SignedCharter] | None:
    """Return the versions from after a digest up to a newer charter; None if no hash leads there.

    The newer one comes without signatures if `versions` lacks it.
    """
    path = [versions.get(newer.digest, SignedCharter(newer))]
    for step in _earlier(newer, versions):
        if path[0].charter.previous == digest:
            return path
        path.insert(0, step)
    return path if path[0].charter.previous == digest else None


def _forward(pinned: Charter, path: Sequence[SignedCharter]) -> list[str]:
    """Return why the versions after the pinned one do not follow from it; empty if they do."""
    known = pinned
    for signed in path:
        try:
            known = accept_change(known, signed)
        except SecureFlowError as error:
            version = signed.charter.version
            return [
                Text(
                    "charter version {version} does not follow from yours: {message}",
                    version=version,
                    message=error.message,
                )
            ]
    return []
