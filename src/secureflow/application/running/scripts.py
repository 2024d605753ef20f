"""From a job to its script, by the version that the job was submitted with.

A script's inputs are stored in the job at submission, so a replay gets the same ones even if the
charter has changed since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from secureflow.domain.charter import Charter
from secureflow.domain.jobs import Job
from secureflow.domain.specs.base import JobSpec, parse
from secureflow.engines.run.kind import EngineKind, EngineKinds, Rows
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def course_of(
    charter: Charter, expires: int, accounting: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the facts that a job stores for its script.

    `expires` is when approvals expire, `accounting` the accountant's answer for a priced job.
    `facts` says that its script keeps the facts of reasons: 0.2.0 did not, and its jobs go on so.
    """
    course = {"charter": charter.digest, "members": charter.keys, "expires": expires, "facts": True}
    return course if accounting is None else {**course, "accounting": dict(accounting)}


class ScriptSource(Protocol):
    """Makes scripts of jobs."""

    def of(self, job: Job) -> Script[dict[str, JSON]]:
        """Return a fresh script of a job."""

    def retired(self, job: Job) -> SecureFlowError | None:
        """Return why an unfinished job of a retired script ends; None for any other."""

    def columns(self, job: Job, party: str) -> Sequence[str]:
        """Return the columns that a job reads of a party."""


class Scripts:
    """The scripts of every kind of job that this server has."""

    def __init__(self, kinds: EngineKinds) -> None:
        self._running = {script: kind for kind in kinds.values() for script in kind.scripts}
        self._retired = {script: kind for kind in kinds.values() for script in kind.retired}

    def of(self, job: Job) -> Script[dict[str, JSON]]:
        """Return a fresh script of the job.

        Raises:
            SecureFlowError: `script_changed` for a script that this server does not have.
        """
        # NumPy is loaded with the first job: an idle server stays small.
        from secureflow.engines.run.run import JobContext

        kind = self._kind(job)
        context: JobContext[Any] = JobContext(
            job.id,
            parse(kind.spec.spec, job.spec, stored=True),
            job.digest,
            job.progress["members"],
            int(job.progress["expires"]),
            kind.contributing,
            job.progress.get("accounting"),
            job.progress.get("facts") is True,
        )
        return kind.script(job.script, context)

    def columns(self, job: Job, party: str) -> Sequence[str]:
        """Return the columns that a job reads of a party.

        Raises:
            SecureFlowError: `script_changed` for a script that this server does not have.
        """
        spec: JobSpec = parse(self._kind(job).spec.spec, job.spec, stored=True)
        return spec.columns_of(party)

    def _kind(self, job: Job) -> EngineKind:
        kind = self._running.get(job.script)
        if kind is None:
            raise _unknown(job)
        return kind

    def retired(self, job: Job) -> SecureFlowError | None:
        """Return why an unfinished job of a retired script ends; None for any other."""
        if job.script not in self._retired:
            return None
        return SecureFlowError(
            "script_retired",
            Text(
                "Job {id} was begun by an older version of SecureFlow (script "
                "{script}), which this version reads but does not continue.",
                id=job.id,
                script=job.script,
            ),
            "Its parties are told and its budgets settled. Submit it again.",
            {"script": job.script},
        )

    def explain(self, job: Job, rounds: Rows, dropouts: Rows) -> dict[str, JSON]:
        """Return who could see what of a job, and its cost, from its spec and its events.

        Args:
            job: running or ended.
            rounds: its rounds.
            dropouts: who dropped out of which round, and why.

        Raises:
            SecureFlowError: `script_changed` for a job of a script that this server does not have.
        """
        kind: EngineKind | None = {**self._running, **self._retired}.get(job.script)
        if kind is None:
            raise _unknown(job)
        explained = kind.explanation(
            parse(kind.spec.spec, job.spec, stored=True),
            tee=str(job.progress.get("tee", "")),
            accounting=job.progress.get("accounting"),
            rounds=rounds,
            dropouts=dropouts,
        )
        return {"job": job.id, "name": job.name, "state": job.state.value, **explained}


def _unknown(job: Job) -> SecureFlowError:
    return SecureFlowError(
        "script_changed",
        Text(
            "Job {id} needs the script {script}, which this server does not have.",
            id=job.id,
            script=job.script,
        ),
        Text(
            "Run the server version that started the job, then secureflow job resume "
            "{id}; or cancel it: secureflow job cancel {id}.",
            id=job.id,
        ),
    )
