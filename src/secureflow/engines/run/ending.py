"""How every job ends: the outcome in the ledger, cosigned by a quorum, and the report.

A failed job ends in the same way: every party is notified, and the reason stays in the ledger.
After the outcome come the ends (`engines.ledger.ends`): each reachable party signs the count and
the last of its own leaves, the centre signs the same for all, and those that answered cosign that
head. Once the centre's end is recorded nothing may fail any more, so that no job has two of them: a
cancellation that arrives during an end changes nothing, and a silent party stays without its own
end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

from secureflow.domain.quorum import quorum_of
from secureflow.domain.scoredocument import KIND as SCORES
from secureflow.domain.scoredocument import scores_digest
from secureflow.domain.specs.base import closes
from secureflow.domain.specs.protections import contributes, traits_of
from secureflow.engines.ledger.ends import CLOSED, End, closed_document
from secureflow.engines.ledger.notes import parse_note
from secureflow.engines.run.asking import Answers, ask
from secureflow.engines.run.messages import (
    CosignRequest,
    FinishReply,
    FinishRequest,
    ForgetRequest,
    VerbRequest,
    as_body,
)
from secureflow.engines.run.protections import protection_of
from secureflow.engines.run.run import (
    Course,
    accusations,
    cosigned_note,
    head_not_cosigned,
    record,
    report_dropouts,
    take_leaves_left,
)
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

R = TypeVar("R")
_Outcome = Literal["failed", "cancelled"]
END_SECONDS: Final = 5.0
"""Seconds for which the end of a failed job waits for parties that make no progress."""


def succeed(course: Course[Any], **outcome: JSON) -> Script[list[str]]:
    """Record a success and have its head cosigned; return the cosigners.

    Raises:
        SecureFlowError: `head_not_cosigned`.
    """
    document = {"outcome": "succeeded", **outcome, "contributions": contributions(course)}
    yield from record(course, [{"kind": "job.finished", "document": document}])
    need = quorum_of(len(course.parties))
    model = None if course.start.model is None else as_body(course.start.model)
    scores = outcome.get(SCORES)
    request = FinishRequest(
        **course.named, outcome="succeeded", model=model, head=course.ledger.note,
        contribution=scores,
    )  # fmt: skip
    course.ledger.model = course.start.model.digest if course.start.model else ""
    course.ledger.scores = "" if scores is None else scores_digest(scores)
    answers = yield from ask(course.parties, request, need=need, patience=course.patience)
    text, cosigners = cosigned_note(course.ledger.note, answers.replies, course.spec.keys)
    if len(cosigners) < need:
        raise head_not_cosigned(len(cosigners), need, "parties of the roster")
    course.ledger.cosigned = text
    yield from _close(course, "succeeded", answers, course.patience)
    # If too few cosigned the ends, a later head makes up for it: the outcome was witnessed before.
    course.ledger.cosigned = course.ledger.cosigned or text
    closing = ForgetRequest(job=course.context.job)
    yield from _ask_all(_adders(course), closing, course.patience)
    return sorted(parse_note(course.ledger.cosigned).cosigners(course.spec.keys))


def abandon(
    course: Course[Any], error: SecureFlowError, patience: float = END_SECONDS
) -> Script[None]:
    """Notify every party that the job has ended, and record the reason in the ledger.

    Args:
        course: the job.
        error: the reason.
        patience: seconds of silence after which a party is left out, unless the spec's are fewer.
    """
    yield from report_dropouts(course)
    code: _Outcome = "cancelled" if error.code == "cancelled" else "failed"
    outcome = {"outcome": code, "error": error.code, "reason": error.message[:1000]}
    failures = error.details.get("failures")
    course.ledger.waiting += accusations(course, failures or {})
    take_leaves_left(course, course.contributed.replies)
    yield from record(course, [{"kind": "job.finished", "document": outcome}])
    request = FinishRequest(**course.named, outcome=code, model=None, head=course.ledger.note)
    everyone = (*course.parties, *_adders(course))
    patience = min(patience, course.patience)
    answers = yield from _ask_all(everyone, request, patience)
    yield from _close(course, code, answers, patience)


def _close(
    course: Course[Any], outcome: str, answers: Answers[FinishReply], patience: float
) -> Script[None]:
    """Record the ends and have the head over them cosigned by the parties that signed theirs.

    Args:
        course: the job, its outcome recorded.
        outcome: `succeeded`, `failed` or `cancelled`.
        answers: the answers to `finish`.
        patience: as in `Ask`.
    """
    if not closes(course.spec.script):
        return
    parties = course.parties
    replies = {party: answers.replies[party] for party in parties if party in answers.replies}
    course.ledger.waiting += accusations(course, answers.failures)
    take_leaves_left(course, replies)
    ends = {party: course.ledger.ends.get(party, End()) for party in parties}
    yield from record(course, [{"kind": CLOSED, "document": closed_document(outcome, ends)}])
    request = CosignRequest(job=course.context.job, head=course.ledger.note)
    cosigned = yield from _ask_all(tuple(replies), request, patience)
    text, cosigners = cosigned_note(course.ledger.note, cosigned.replies, course.spec.keys)
    if len(cosigners) >= quorum_of(len(parties)):
        course.ledger.cosigned = text


def _ask_all(to: Sequence[str], request: VerbRequest[R], patience: float) -> Script[Answers[R]]:
    """Ask, and accept what comes: a job that is ending continues even if it is cancelled."""
    nothing: Answers[R] = Answers({}, {})
    if not to:
        return nothing
    try:
        return (yield from ask(to, request, need=0, patience=patience))
    except SecureFlowError:
        return nothing


def contributions(course: Course[Any]) -> dict[str, JSON]:
    """Return each party's contributions: rounds, and rows where these are not secret."""
    # Masks hide a party's row count just like its update, and noise like any other figure; one
    # that contributes nothing tells none.
    spec = course.spec
    hidden = traits_of(spec).masks or spec.privacy is not None or not contributes(spec)
    return {
        party: {
            "rounds": course.contributed.rounds.get(party, 0),
            "rows": None if hidden else course.contributed.rows.get(party, 0),
        }
        for party in course.parties
    }


def report_of(course: Course[Any], cosigners: Sequence[str], **more: JSON) -> dict[str, JSON]:
    """Return a report: the common members, and those that this kind of job adds.

    Args:
        course: the job, after `succeed`.
        cosigners: the cosigners of the last head.
        more: the members that the kind adds.
    """
    context, spec = course.context, course.spec
    shared: Mapping[str, JSON] = {
        "job": context.job,
        "kind": spec.kind,
        "name": spec.name,
        "purpose": spec.purpose,
        "spec_digest": context.digest,
        "state": "succeeded",
        "protection": spec.protection,
        "tee": course.admission.tee,
        "contributions": contributions(course),
        "dropouts": course.contributed.dropouts,
        "generations": course.admission.generation,
        "started": course.started,
        "ledger": {
            "size": parse_note(course.ledger.cosigned).checkpoint.size,
            "note": course.ledger.cosigned,
            "cosigners": list(cosigners),
            "quorum": quorum_of(len(course.parties)),
        },
    }
    return {**shared, **more}


def _adders(course: Course[Any]) -> tuple[str, ...]:
    """Return who adds up the contributions, if anyone does."""
    adder = protection_of(course).adder
    return (adder,) if adder else ()
