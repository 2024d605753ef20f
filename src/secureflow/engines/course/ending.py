"""How every job ends: the outcome in the ledger, cosigned by a quorum, and what each report tells.

A job that fails ends too: everybody is told, and the reason stays in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secureflow.engines.course.course import (
    Course,
    accusations,
    cosigned_note,
    head_not_cosigned,
    leaves_left,
    record,
    tell_dropouts,
)
from secureflow.engines.ledger.notes import parse_note
from secureflow.engines.ledger.witness import quorum_of
from secureflow.engines.script import AGGREGATOR, ENCLAVE, JSON, Ask, Script
from secureflow.kit.errors import SecureFlowError


def succeed(course: Course[Any], **outcome: JSON) -> Script[list[str]]:
    """Record a success and have its head cosigned; return who cosigned it.

    Raises:
        SecureFlowError: `head_not_cosigned`.
    """
    document = {"outcome": "succeeded", **outcome, "contributions": contributions(course)}
    yield from record(course, [{"kind": "job.finished", "document": document}])
    need = quorum_of(len(course.parties))
    body = course.body(outcome="succeeded", model=course.model, head=course.note)
    answers = yield Ask(course.parties, "finish", body, need=need, patience=course.patience)
    text, cosigners = cosigned_note(course.note, answers["replies"], course.spec.keys)
    if len(cosigners) < need:
        raise head_not_cosigned(len(cosigners), need, "parties of the roster")
    course.cosigned = text
    closing = {"job": course.context.job}
    yield Ask((_folder(course),), "finish", closing, need=0, patience=course.patience)
    return sorted(cosigners)


def abandon(course: Course[Any], error: SecureFlowError) -> Script[None]:
    """Tell everybody that the job is over, and leave the reason in the ledger."""
    yield from tell_dropouts(course)
    code = "cancelled" if error.code == "cancelled" else "failed"
    outcome = {"outcome": code, "error": error.code, "reason": error.message[:1000]}
    failures = error.details.get("failures")
    accused = [*course.accused, *accusations(course, failures or {}), *leaves_left(course)]
    yield from record(course, [*accused, {"kind": "job.finished", "document": outcome}])
    body = course.body(outcome=code, model=None, head=course.note)
    everyone = (*course.parties, _folder(course))
    yield Ask(everyone, "finish", body, need=0, patience=min(5.0, course.patience))


def contributions(course: Course[Any]) -> dict[str, JSON]:
    """Return what each party brought: rounds, and rows where these are no secret."""
    # Under masks a party's row count is as hidden as its update, under noise as any other figure.
    hidden = course.spec.masked or course.spec.privacy is not None
    return {
        party: {
            "rounds": course.rounds.get(party, 0),
            "rows": None if hidden else course.rows.get(party, 0),
        }
        for party in course.parties
    }


def report_of(course: Course[Any], cosigners: Sequence[str], **more: JSON) -> dict[str, JSON]:
    """Return a report: what every job's has, and what this kind of job adds.

    Args:
        course: the job, after `succeed`.
        cosigners: who cosigned the last head.
        more: what the kind adds.
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
        "tee": course.tee,
        "contributions": contributions(course),
        "dropouts": course.dropouts,
        "generations": course.generation,
        "started": course.started,
        "ledger": {
            "size": parse_note(course.cosigned).checkpoint.size,
            "note": course.cosigned,
            "cosigners": list(cosigners),
            "quorum": quorum_of(len(course.parties)),
        },
    }
    return {**shared, **more}


def _folder(course: Course[Any]) -> str:
    """Return who adds the updates up."""
    return ENCLAVE if course.spec.sealed else AGGREGATOR
