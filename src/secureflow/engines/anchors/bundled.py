"""The part `anchors` of an audit bundle: what members say they anchored of the log and the job.

It is a list of `{statement, proof?}`: a statement as its member signed it (`statements`), and for
a head the consistency proof (RFC 9162, 2.1.4) between it and the bundle's own head. Anchors come
later than what a record's digests fix, so nothing in the record names them: a bundle without them
is as good, and whoever hands it out can leave some out. What they add is that others than the
operator hold the head: then the record cannot be another one later.

- A statement counts for the member whose charter key signed it. One that nobody in the charter
  signed says nothing (`foreign`); a head of another log neither.
- One that its own contents refute is `false`, and so is the bundle: a head that the log did not
  sign or signed after the end of its key, one that contradicts the bundle's, a receipt that the
  keeper of a file did not give, another spec of this job, a deed that is not of this job at all.
- A head with a proof `covers` the record: the whole of it, or the entries below its size.
- A chain's receipts take a node (`Anchor.checked`); without one they are `not checked`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from secureflow.domain.charter import Charter, SignedCharter
from secureflow.engines.anchors.entries import (
    AnchorHead,
    ApproveJob,
    RegisterJob,
    job_digest,
    log_digest,
)
from secureflow.engines.anchors.statements import (
    Statement,
    keeper_of,
    parse_statement,
    why_receipt_false,
)
from secureflow.engines.ledger.anchored import Anchored, Covers
from secureflow.engines.ledger.bundle import BundleVerdict, verify_bundle
from secureflow.engines.ledger.bundle_format import MAX_PROOF, Bundle
from secureflow.engines.ledger.merkle import verify_consistency
from secureflow.engines.ledger.notes import Checkpoint
from secureflow.kit.canonical import JSON, b64encode, digest
from secureflow.kit.crypto import holds
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_HASH: Final = re.compile(r"[0-9a-f]{64}")
Proof = tuple[bytes, ...]


def verify_anchored(
    bundle_json: Any,
    charter: Charter | None,
    held: Any = None,
    spec: str = "",
    known: Sequence[SignedCharter] = (),
    report: Any = None,
) -> BundleVerdict:
    """Judge a foreign bundle with its anchors; the rest as `ledger.bundle.verify_bundle`.

    Raises:
        SecureFlowError: only for a malformed `held`: `malformed_bundle`, `malformed_leaf`.
    """
    return verify_bundle(bundle_json, charter, held, spec, known, report, judge_anchors)


def anchored_json(statement: JSON, proof: Sequence[bytes] | None = None) -> dict[str, JSON]:
    """Return how a statement stands in a bundle.

    Args:
        statement: as its member signed it.
        proof: from the smaller to the larger of its head and the bundle's; None for none.
    """
    if proof is None:
        return {"statement": statement}
    return {"statement": statement, "proof": [node.hex() for node in proof]}


def parse_anchored(value: Any) -> tuple[Statement, Proof | None]:
    """Read one element of the list.

    Raises:
        SecureFlowError: `malformed_anchor`, `malformed_entry`, `not_canonical`.
    """
    if not isinstance(value, dict) or value.keys() - {"proof"} != {"statement"}:
        raise _malformed("it needs a statement, and may have a proof")
    statement = parse_statement(value["statement"])
    if "proof" not in value:
        return statement, None
    proof = value["proof"]
    if not isinstance(proof, list) or len(proof) > MAX_PROOF:
        raise _malformed(
            Text("its proof is no list of at most {max_proof} hashes", max_proof=MAX_PROOF)
        )
    if not all(isinstance(one, str) and _HASH.fullmatch(one) for one in proof):
        raise _malformed(
            Text("its proof is no list of at most {max_proof} hashes", max_proof=MAX_PROOF)
        )
    if not isinstance(statement.entry, AnchorHead):
        raise _malformed("only a head has a proof")
    return statement, tuple(bytes.fromhex(one) for one in proof)


@dataclass(frozen=True)
class _Record:
    """What statements are held against.

    Args:
        head: of the bundle.
        keys: organisation to base64 charter key.
        log_key: that signs under the head's origin; empty without a charter.
        job: digest of the id; empty of an id that nobody could have anchored.
        spec: digest of the spec.
        ended: greatest size that the log's key may sign, and the root of it; None if it never
            ended, by the reader's own charter.
    """

    head: Checkpoint
    keys: Mapping[str, str]
    log_key: str | None
    job: bytes
    spec: str
    ended: tuple[int, str] | None

    @classmethod
    def of(cls, bundle: Bundle, charter: Charter | None, pinned: Charter | None) -> _Record:
        head = bundle.note.checkpoint
        keys = dict(bundle.contributors) if charter is None else charter.keys
        try:
            job = job_digest(bundle.job)
        except UnicodeEncodeError:  # half a surrogate pair
            job = b""
        log_key = "" if charter is None else charter.log_keys.get(head.origin)
        ends = [] if pinned is None else pinned.continuations
        ended = [
            (one.size, one.root) for one in ends if one.changes_key and one.origin == head.origin
        ]
        return cls(head, keys, log_key, job, digest(bundle.spec), ended[0] if ended else None)

    def member(self, key: str) -> str:
        return next((name for name, one in self.keys.items() if one == key), "")


def judge_anchors(
    bundle: Bundle, charter: Charter | None, pinned: Charter | None
) -> list[Anchored]:
    """Judge every statement of a bundle; total.

    Args:
        bundle: as parsed.
        charter: under which it is judged; None without one.
        pinned: the reader's own, which may be a later version.
    """
    record = _Record.of(bundle, charter, pinned)
    found: list[Anchored] = []
    first: dict[int, tuple[bytes, Anchored]] = {}
    for number, value in enumerate(bundle.anchors, 1):
        try:
            statement, proof = parse_anchored(value)
        except SecureFlowError as error:
            found.append(Anchored(number, standing="false", reason=error.message))
            continue
        one, head = _judged(record, number, statement, proof), statement.entry
        if isinstance(head, AnchorHead) and one.standing in ("receipt holds", "not checked"):
            root, other = first.setdefault(head.size, (head.root, one))
            if root != head.root:
                one = _false(one, _two_histories(one, other))
        found.append(one)
    return found


def _judged(record: _Record, number: int, said: Statement, proof: Proof | None) -> Anchored:
    head = said.entry if isinstance(said.entry, AnchorHead) else None
    member = record.member(said.key)
    one = Anchored(
        number,
        member,
        said.place,
        said.entry.kind,
        head.size if head else 0,
        said.transaction,
        said.block,
        said.at,
        said.result,
    )
    if not member:
        return _foreign(one, "nobody in the charter signed it")
    if head is None:
        reason = _why_not_this_job(record, said, member)
    elif head.log != log_digest(record.head.origin) or record.log_key is None:
        return _foreign(one, "it is a head of another log")
    else:
        reason = _why_no_head(record, head, proof)
    if reason:
        return _false(one, reason)
    if said.make == "file":
        if b64encode(keeper_of(said)) not in record.keys.values():
            return _foreign(one, "its keeper is not in the charter")
        if why := why_receipt_false(said):
            return _false(one, Text("its receipt is false: {reason}", reason=why))
        one = replace(one, standing="receipt holds")
    return one if head is None else _covering(one, record, head, proof)


def _why_not_this_job(record: _Record, said: Statement, member: str) -> str:
    entry = said.entry
    if getattr(entry, "job", None) != record.job:
        return "it is not about this job"
    if isinstance(entry, RegisterJob | ApproveJob) and entry.spec.hex() != record.spec:
        return Text(
            "{member} anchored the spec {spec} for this job, not the bundle's",
            member=member,
            spec=entry.spec.hex(),
        )
    return ""


def _why_no_head(record: _Record, head: AnchorHead, proof: Proof | None) -> str:
    own = record.head
    text = Checkpoint(own.origin, head.size, head.root).text.encode()
    if record.log_key and not holds(record.log_key, text, b64encode(b"".join(head.signature))):
        return "the log never signed that head"
    if record.ended is not None:
        size, root = record.ended
        if head.size > size or (head.size == size and head.root.hex() != root):
            return "the log's key had ended before that head"
    if head.size == own.size and head.root != own.root:
        return Text(
            "it is another head of {size} entries than the bundle's: the log has two histories",
            size=head.size,
        )
    if proof is not None and not _consistent(own, head, proof):
        return "its proof does not lead from one head to the other"
    return ""


def _consistent(own: Checkpoint, head: AnchorHead, proof: Proof) -> bool:
    small, large = sorted(((own.size, own.root), (head.size, head.root)))
    return verify_consistency(small[0], large[0], small[1], large[1], list(proof))


def _covering(one: Anchored, record: _Record, head: AnchorHead, proof: Proof | None) -> Anchored:
    if head.size != record.head.size and proof is None:
        return replace(
            one, reason="without a proof that it is of one history with the bundle's head"
        )
    covers: Covers = "whole" if head.size >= record.head.size else "part"
    return replace(one, covers=covers)


def _two_histories(one: Anchored, other: Anchored) -> str:
    return Text(
        "{member} anchored another head of {size} entries: the log has two histories",
        member=other.member,
        size=one.size,
    )


def _foreign(one: Anchored, reason: str) -> Anchored:
    return replace(one, standing="foreign", reason=reason)


def _false(one: Anchored, reason: str) -> Anchored:
    return replace(one, standing="false", covers="", reason=reason)


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_anchor",
        Text("The statement about an anchor is malformed: {reason}.", reason=reason),
        "Nothing in it counts: have its member make it again.",
    )
