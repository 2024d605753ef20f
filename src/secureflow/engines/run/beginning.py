"""How every job begins: consent, then keys or evidence, then a start that the charter witnessed."""

from __future__ import annotations

from typing import Any

from secureflow.engines.run.admission import ask_consent
from secureflow.engines.run.protection import Plans
from secureflow.engines.run.protections import protection_of
from secureflow.engines.run.run import (
    Course,
    record,
    report_dropouts,
    seconds_now,
    witness_by_charter,
)
from secureflow.engines.script import Move, Script
from secureflow.kit.canonical import JSON


def begin(course: Course[Any], plans: Plans) -> Script[None]:
    """Bring a job from its proposal to the point where its first round can run.

    Args:
        course: the job, newly created.
        plans: makes the plans of its masked sessions; called only if there are any.

    Raises:
        SecureFlowError: those of consent and admission, `head_not_cosigned`.
    """
    yield Move("proposed")
    yield from ask_consent(course)
    yield Move("approved")
    course.started = int((yield from seconds_now()))
    yield from protection_of(course).begin(course, plans)
    yield Move("admitted")
    yield from report_dropouts(course)
    yield from record(course, [{"kind": "job.started", "document": _document(course)}])
    yield from witness_by_charter(course)
    yield Move("running")


def _document(course: Course[Any]) -> dict[str, JSON]:
    return {
        "spec": course.context.digest,
        "roster": list(course.parties),
        "members": sorted(course.context.members),
        "protection": course.spec.protection,
        "tee": course.admission.tee,
    }
