"""From a job to its script: a table, by the script version that the job was submitted with.

What a script is told stands in the job since its submission, so a replay is told the same however
the charter has changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from secureflow.domain.charter import Charter
from secureflow.domain.jobs import Job
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.script import JSON, Script
from secureflow.kit.errors import SecureFlowError

Rows = Sequence[Mapping[str, JSON]]
Factory = Callable[[Job], Script[dict[str, JSON]]]
Explainer = Callable[[Job, Rows, Rows], dict[str, JSON]]


class Priced(Protocol):
    """What a job costs, of whatever kind."""

    @property
    def answer(self) -> Mapping[str, Any]:
        """The accountant's answer."""


def course_of(charter: Charter, expires: int, priced: Priced | None = None) -> dict[str, Any]:
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
        raise _unknown(job)
    return factory(job)


def retired(job: Job) -> SecureFlowError | None:
    """Return why an unfinished job of an older script ends; None for any other."""
    if job.script not in RETIRED:
        return None
    return SecureFlowError(
        "script_retired",
        f"Job {job.id} was begun by an older version of SecureFlow (script {job.script}), which "
        "this version reads but does not go on with.",
        "Its parties are told and its budgets settled. Submit it again.",
        {"script": job.script},
    )


def _unknown(job: Job) -> SecureFlowError:
    return SecureFlowError(
        "script_changed",
        f"Job {job.id} needs the script {job.script}, which this server does not have.",
        f"Run the server version that started the job, then secureflow job resume {job.id}; or "
        f"cancel it: secureflow job cancel {job.id}.",
    )


def _training(job: Job) -> Script[dict[str, JSON]]:
    # NumPy loads with the first job: a server that only serves stays small.
    from secureflow.engines.run.run import JobContext
    from secureflow.engines.training.federated import federated_training

    return federated_training(JobContext(job.id, parse(TrainingSpec, job.spec), **_facts(job)))


def _statistics(job: Job) -> Script[dict[str, JSON]]:
    from secureflow.engines.run.run import JobContext
    from secureflow.engines.statistics.script import federated_statistics

    return federated_statistics(JobContext(job.id, parse(StatisticsSpec, job.spec), **_facts(job)))


def _facts(job: Job) -> dict[str, Any]:
    return {
        "digest": job.digest,
        "members": job.progress["members"],
        "expires": int(job.progress["expires"]),
        "accounting": job.progress.get("accounting"),
    }


def explain(job: Job, rounds: Rows, dropouts: Rows) -> dict[str, JSON]:
    """Return who could see what of a job, and what it has cost, from its spec and its events.

    Args:
        job: running or ended.
        rounds: its rounds.
        dropouts: who dropped out of which, and why.

    Raises:
        SecureFlowError: `script_changed` for a job of a script that this server does not have.
    """
    explainer = _EXPLAINERS.get(job.script)
    if explainer is None:
        raise _unknown(job)
    explained = explainer(job, rounds, dropouts)
    return {"job": job.id, "name": job.name, "state": job.state.value, **explained}


def _explain_training(job: Job, rounds: Rows, dropouts: Rows) -> dict[str, JSON]:
    from secureflow.engines.training.explanation import explanation

    return explanation(
        parse(TrainingSpec, job.spec),
        tee=str(job.progress.get("tee", "")),
        accounting=job.progress.get("accounting"),
        rounds=rounds,
        dropouts=dropouts,
    )


def _explain_statistics(job: Job, rounds: Rows, dropouts: Rows) -> dict[str, JSON]:
    from secureflow.engines.statistics.explanation import explanation

    return explanation(
        parse(StatisticsSpec, job.spec),
        accounting=job.progress.get("accounting"),
        rounds=rounds,
        dropouts=dropouts,
    )


_FACTORIES: Final[dict[str, Factory]] = {
    "training/2": _training,
    "statistics/2": _statistics,
}
RETIRED: Final = frozenset({"training/1", "statistics/1"})
"""Scripts that were changed before the first release: their unfinished jobs end at start-up. From
the first release on, the previous version of each script stays in `_FACTORIES` for one release."""
_EXPLAINERS: Final[dict[str, Explainer]] = {
    "training/1": _explain_training,
    "training/2": _explain_training,
    "statistics/1": _explain_statistics,
    "statistics/2": _explain_statistics,
}
