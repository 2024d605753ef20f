"""Handing what parties keep over to one of them: sealed to its key, so that the centre carries it.

The recipient makes a key for the job and signs it; the others seal their files to it and sign them;
the centre keeps the ciphertexts until the recipient has them. Each flight can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.engines.run.asking import ask, ask_one
from secureflow.engines.run.kept import RECEIVED, committing
from secureflow.engines.run.messages import (
    CollectRequest,
    ForgetRequest,
    HandOverForAll,
    HandOverOwn,
    ReceiveRequest,
    SealedFile,
    SealRequest,
    VectorSize,
)
from secureflow.engines.run.run import Course, record, report_dropouts, take_leaves
from secureflow.engines.script import AGGREGATOR, Script
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_OF_A_SENDER: Final = frozenset(
    {"delivery_forged", "sealed_key_refused", "chunk_forged", "chunk_length_wrong"}
)
"""What a recipient says of one file, which it does not open."""


@dataclass(frozen=True)
class Delivered:
    """Whose files the recipient has, and why others' are missing."""

    parties: tuple[str, ...]
    failures: dict[str, JSON]


def hand_over(
    course: Course[Any], stage: str, to: str, senders: Sequence[str]
) -> Script[Delivered]:
    """Have the senders' files sealed to a party and opened there.

    Args:
        course: the running job; the senders have what they keep.
        stage: of the work.
        to: the recipient, of the roster.
        senders: the others.

    Raises:
        SecureFlowError: the recipient's failure; those of `take_leaves`.
    """
    if not senders:
        return Delivered((), {})
    shown = yield from ask_one(to, ReceiveRequest(**course.named), patience=course.patience)
    seal = SealRequest(**course.named, recipient=shown.recipient, signature=shown.signature)
    made = yield from ask(senders, seal, need=0, patience=course.patience)
    failures = dict(made.failures)
    sealed = {party: reply.sealed for party, reply in made.replies.items()}
    each = {party: HandOverOwn(vector=VectorSize(one.size)) for party, one in sealed.items()}
    send = HandOverForAll(**course.named, round=1, stage=stage)
    sent = yield from ask(sorted(each), send, each, need=0, patience=course.patience)
    failures |= sent.failures
    files: dict[str, SealedFile] = {}
    for party, reply in sorted(sent.replies.items()):
        if reply.vector == sealed[party].artifact:
            files[party] = sealed[party]
        else:
            failures[party] = _sent_another(party).as_json()
    failures |= yield from _collected(course, to, files)
    course.drop(1, stage, failures)
    document = {"stage": stage, "to": to, "parties": sorted(files)}
    yield from record(course, [{"kind": "results.delivered", "document": document}])
    yield from report_dropouts(course)
    yield from forget_ciphertexts(course)
    return Delivered(tuple(sorted(files)), failures)


def _sent_another(party: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_reply",
        Text("{party} sent another file than the one that it sealed.", party=party),
        "Its agent is faulty or of another version: ask the organisation.",
        {"party": party},
    )


def _collected(
    course: Course[Any], to: str, files: dict[str, SealedFile]
) -> Script[dict[str, JSON]]:
    """Have the recipient open the files; leave out, and return the failures of, what it refuses.

    It opens all that it is asked for, or none: one sender's fault must not cost the others theirs.

    Raises:
        SecureFlowError: the recipient's own failure, which names none of the senders; those of
            `take_leaves`; `malformed_reply`.
    """
    failures: dict[str, JSON] = {}
    while files:
        collect = CollectRequest(**course.named, files=dict(files))
        try:
            got = yield from ask_one(to, collect, patience=course.patience)
        except SecureFlowError as error:
            sender = error.details.get("party")
            # It is the recipient that says this: it may be anything.
            if not isinstance(sender, str) or sender not in files:
                raise
            if error.code not in _OF_A_SENDER:
                raise
            failures[sender] = error.as_json()
            del files[sender]
        else:
            take_leaves(course, {to: committing(to, got, RECEIVED)})
            break
    return failures


def forget_ciphertexts(course: Course[Any]) -> Script[None]:
    """Have the centre remove the ciphertexts; a job that is ending goes on without that."""
    request = ForgetRequest(job=course.context.job)
    try:
        yield from ask((AGGREGATOR,), request, need=0, patience=course.patience)
    except SecureFlowError:
        return
