"""C2SP tlog-witness: how a head is submitted to a witness, and by which rule it is cosigned.

`POST <prefix>/add-checkpoint` carries `old <size>`, at most 63 lines of a consistency proof in
base64, an empty line, and the checkpoint. The witness answers with its cosignature lines, or says
why not: 404 for a log that it does not know, 403 without a signature of that log, 400 for what is
malformed, 409 with the size that it cosigned last, 422 for a proof that does not hold.

A proof is the submitter's, who may be anybody: a bad one accuses nobody. Only two roots of one size
that the log itself signed do. A checkpoint with extension lines is refused as malformed (`notes`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from secureflow.engines.ledger.merkle import HASH_BYTES, MAX_SIZE, verify_consistency
from secureflow.engines.ledger.notes import MAX_NOTE_BYTES, attach, parse_note
from secureflow.engines.ledger.setback import head_only
from secureflow.engines.ledger.witness import WitnessView
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_PROOF: Final = 63
"""Lines of a proof, by the specification."""
MAX_SUBMISSION: Final = MAX_NOTE_BYTES + 4096
MAX_ANSWER: Final = 16 << 10
"""Bytes of a witness's answer that are read."""
SIZE_TYPE: Final = "text/x.tlog.size"

_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")
_HASH: Final = 44
"""Characters of 32 bytes in base64."""
_ANSWERED_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


@dataclass(frozen=True)
class Submission:
    """A head, and the proof that it extends the one that the witness cosigned last."""

    old_size: int
    proof: tuple[bytes, ...]
    note: str

    @property
    def body(self) -> bytes:
        """The body of the request."""
        lines = [f"old {self.old_size}", *map(b64encode, self.proof), ""]
        return ("\n".join(lines) + "\n" + self.note).encode()


def parse_submission(body: bytes) -> Submission:
    """Read a foreign request of at most `MAX_SUBMISSION` bytes.

    Raises:
        SecureFlowError: `malformed_submission`, `malformed_note`.
    """
    if len(body) > MAX_SUBMISSION:
        raise _malformed(Text("it has more than {most} bytes", most=MAX_SUBMISSION))
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise _malformed("it is not UTF-8") from error
    head, empty, note = text.partition("\n\n")
    first, *lines = head.split("\n", MAX_PROOF + 2)
    found = _OLD.fullmatch(first)
    if not empty or not found or int(found[1]) >= MAX_SIZE:
        raise _malformed("its first line must be `old` and a decimal size")
    if len(lines) > MAX_PROOF:
        raise _malformed(Text("a proof has at most {most} lines", most=MAX_PROOF))
    old, proof = int(found[1]), tuple(_hash(line) for line in lines)
    if old > parse_note(note).checkpoint.size:
        raise _malformed("its old size is greater than that of its checkpoint")
    return Submission(old, proof, note)


def judge(view: WitnessView, submission: Submission) -> WitnessView:
    """Return what a witness has seen once it accepts a submission for the view's log.

    Raises:
        SecureFlowError: `ledger_bad_signature`; `witness_behind` with `size`; `witness_no_proof`;
            `ledger_inconsistent` with both notes for two roots of one size.
    """
    note = parse_note(submission.note)
    head = note.checkpoint
    if head.origin != view.origin or not note.verify_log(view.log_key):
        raise SecureFlowError(
            "ledger_bad_signature",
            Text("The head is not signed by the log {origin}.", origin=view.origin),
            "Submit a head as the log signed it.",
        )
    if head.size == view.size and head.root != view.root:
        raise _forked(view, submission.note)
    if submission.old_size != view.size:
        raise behind(view)
    if view.size in {head.size, 0}:
        if submission.proof:
            raise _no_proof(view, head.size)
    elif not verify_consistency(view.size, head.size, view.root, head.root, submission.proof):
        raise _no_proof(view, head.size)
    if head.size == view.size and (view.note or not head.size):
        return view
    return replace(view, size=head.size, root=head.root, note=head_only(submission.note))


def behind(view: WitnessView) -> SecureFlowError:
    """Return the refusal that tells the size from which a proof is wanted."""
    return SecureFlowError(
        "witness_behind",
        Text("The witness cosigned size {size} last.", size=view.size),
        "Send the proof from that size.",
        {"size": view.size},
    )


def cosigned_lines(
    answer: bytes, submission: Submission, keys: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return the valid cosignature lines, one for each known name, of a witness's answer.

    Args:
        answer: the body, of at most `MAX_ANSWER` bytes.
        submission: what was cosigned.
        keys: base64 keys by their names; lines of others are ignored.

    Raises:
        SecureFlowError: `malformed_note`.
    """
    text = answer[: MAX_ANSWER + 1].decode(errors="replace")
    if len(answer) > MAX_ANSWER or not text.endswith("\n"):
        raise SecureFlowError("malformed_note", "The witness's answer is no signature line.")
    lines = text.splitlines(keepends=True)
    bare = head_only(submission.note)
    parse_note(attach(bare, lines))
    known: dict[str, str] = {}
    for line in lines:
        note = parse_note(attach(bare, [line]))
        for name, several in keys.items():
            if any(note.cosigners({name: key}) for key in several):
                known.setdefault(name, line)
    return list(known.values())


def answered_size(body: bytes) -> int | None:
    """Return the size that a witness's refusal with 409 names; None if it names none."""
    found = _ANSWERED_SIZE.fullmatch(body)
    size = int(found[1]) if found else MAX_SIZE
    return size if size < MAX_SIZE else None


def _hash(line: str) -> bytes:
    try:
        data = b64decode(line, _HASH)
    except SecureFlowError as error:
        raise _malformed("a line of its proof is not base64") from error
    if len(data) != HASH_BYTES:
        raise _malformed("a line of its proof is no hash")
    return data


def _forked(view: WitnessView, note: str) -> SecureFlowError:
    """Return the accusation of a log of which two roots of one size were signed."""
    known = {"known": view.note, "shown": head_only(note), "size": view.size}
    return SecureFlowError(
        "ledger_inconsistent",
        Text(
            "The log {origin} signed two histories of {size} entries.",
            origin=view.origin,
            size=view.size,
        ),
        "Stop trusting this log and give both notes to everybody who reads it.",
        known,
    )


def _no_proof(view: WitnessView, size: int) -> SecureFlowError:
    return SecureFlowError(
        "witness_no_proof",
        Text(
            "The proof does not lead from size {old} of {origin} to size {size}.",
            old=view.size,
            size=size,
            origin=view.origin,
        ),
        "Send the consistency proof of RFC 6962, section 2.1.2, between both sizes.",
    )


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_submission",
        Text("The submitted head is malformed: {reason}.", reason=reason),
        "Send it as C2SP tlog-witness says.",
    )
