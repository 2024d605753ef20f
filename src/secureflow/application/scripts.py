"""From a job to its script: a table, by the script version that the job was submitted with.

What a script is told stands in the job since its submission, so a replay is told the same however
the charter has changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from secureflow.application.pricing import Price
from secureflow.domain.charter import Charter
from secureflow.domain.jobs import Job
from secureflow.domain.specs import TrainingSpec, parse
from secureflow.engines.script import JSON, Script
from secureflow.kit.errors import SecureFlowError

Factory = Callable[[Job], Script[dict[str, JSON]]]


def course_of(charter: Charter, expires: int, priced: Price | None = None) -> dict[str, Any]:
    """Return the facts that a job keeps for its script; `expires` is when approvals lapse."""
    facts = {"charter": charter.digest, "members": charter.keys, "expires": expires}
    return facts if priced is None else {**facts, "accounting": dict(priced.answer)}


def script_for(job: Job) -> Script[dict[str, JSON]]:
    """Return a fresh script of the job.

    Raises:
        SecureFlowError: `script_changed` for a script that this server does not have.
    """
    factory = _FACTORIES.get(job.script)
    if factory is None:
        raise SecureFlowError(
            "script_changed",
            f"Job {job.id} needs the script {job.script}, which this server does not have.",
            "Run the server version that started the job, or cancel it.",
        )
    return factory(job)


def _training(job: Job) -> Script[dict[str, JSON]]:
    # NumPy loads with the first job: a server that only serves stays small.
    from secureflow.engines.course.course import JobContext
    from secureflow.engines.training.federated import federated_training

    members: Mapping[str, str] = job.progress["members"]
    spec = parse(TrainingSpec, job.spec)
    expires = int(job.progress["expires"])
    accounting = job.progress.get("accounting")
    return federated_training(JobContext(job.id, spec, job.digest, members, expires, accounting))


def explain(job: Job, rounds: Sequence[Mapping[str, JSON]]) -> dict[str, JSON]:
    """Return who could see what of a job, and what it has cost; `rounds` are its round events.

    Raises:
        SecureFlowError: `script_changed` for a job of a script that this server does not have.
    """
    script_for(job).close()
    from secureflow.engines.training.explanation import explanation

    report = job.report or {}
    explained = explanation(
        parse(TrainingSpec, job.spec),
        tee=str(report.get("tee", "")),
        accounting=job.progress.get("accounting"),
        rounds=rounds,
        dropouts=report.get("dropouts") or (),
    )
    return {"job": job.id, "name": job.name, "state": job.state.value, **explained}


_FACTORIES: Final[dict[str, Factory]] = {"training/1": _training}
