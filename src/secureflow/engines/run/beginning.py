"""How every job begins: consent, then keys or evidence, then a start that the charter witnessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secureflow.engines.run.admission import admit, ask_consent
from secureflow.engines.run.masked import set_up
from secureflow.engines.run.run import (
    Course,
    record,
    seconds_now,
    tell_dropouts,
    witness_by_charter,
)
from secureflow.engines.script import JSON, Move, Script
from secureflow.engines.secagg import Plan


def begin(course: Course[Any], plans: Mapping[str, Plan]) -> Script[None]:
    """Bring a job from its proposal to where its first round may run.

    Args:
        course: the job, fresh.
        plans: of its masked sessions, by stage; none where nothing is masked.

    Raises:
        SecureFlowError: those of consent and admission, `head_not_cosigned`.
    """
    yield Move("proposed")
    yield from ask_consent(course)
    yield Move("approved")
    course.started = int((yield from seconds_now()))
    if course.spec.sealed:
        yield from admit(course, course.parties, need=course.threshold)
    if course.spec.masked:
        course.plans = plans
        yield from set_up(course)
    yield Move("admitted")
    yield from tell_dropouts(course)
    yield from record(course, [{"kind": "job.started", "document": _document(course)}])
    yield from witness_by_charter(course)
    yield Move("running")


def _document(course: Course[Any]) -> dict[str, JSON]:
    return {
        "spec": course.context.digest,
        "roster": list(course.parties),
        "members": sorted(course.context.members),
        "protection": course.spec.protection,
        "tee": course.tee,
    }
