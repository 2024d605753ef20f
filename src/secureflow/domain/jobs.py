"""Jobs and their life cycle: the state machine is a table.

draft → proposed → approved → admitted → running ⇄ paused → succeeded | failed | cancelled.
*Proposed* waits for the data owners, *admitted* means attested and budget reserved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from secureflow.domain.priorities import USUAL
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Joined, Text


class JobState(StrEnum):
    """The state of a job."""

    DRAFT = "draft"
    PROPOSED = "proposed"
    APPROVED = "approved"
    ADMITTED = "admitted"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Tell whether the state is final."""
        return not TRANSITIONS[self]


_S = JobState
_ENDS = frozenset({_S.FAILED, _S.CANCELLED})
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    _S.DRAFT: frozenset({_S.PROPOSED, _S.CANCELLED}),
    _S.PROPOSED: _ENDS | {_S.APPROVED, _S.PAUSED},
    _S.APPROVED: _ENDS | {_S.ADMITTED, _S.PAUSED},
    _S.ADMITTED: _ENDS | {_S.RUNNING, _S.PAUSED},
    _S.RUNNING: _ENDS | {_S.SUCCEEDED, _S.PAUSED},
    _S.PAUSED: _ENDS | {_S.PROPOSED, _S.APPROVED, _S.ADMITTED, _S.RUNNING},
    _S.SUCCEEDED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
}


@dataclass(frozen=True)
class Job:
    """One computation. `spec` is the signed JSON, `digest` its SHA-256, `script` its version.

    `priority` says which of the waiting jobs goes first (`domain.queue`).
    """

    id: str
    project: str
    organisation: str
    name: str
    submitter: str
    kind: str
    script: str
    spec: dict[str, Any]
    digest: str
    state: JobState
    created: int
    updated: int
    error: dict[str, Any] | None = None
    report: dict[str, Any] | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    priority: int = USUAL

    def has_party(self, organisation: str) -> bool:
        """Tell whether an organisation is in the job's roster."""
        return any(one.get("party") == organisation for one in self.spec.get("roster", ()))


WITHDRAWALS: Final[Mapping[str, str]] = {
    "approval_withdrawn": "{party} has withdrawn its approval of job {job}.",
    "grant_revoked": "{party} has revoked the grant under which it took part in job {job}.",
    "project_stopped": "{party} has stopped the project of job {job} at its agent.",
    "requester_blocked": "{party} takes part in no job of who submitted job {job}.",
}
"""Why an owner may take its approval of a running job back, and what that is told as."""


def withdrawal(job: Job) -> SecureFlowError | None:
    """Return the error with which a job ends that an owner stopped; None if none did."""
    kept = job.progress.get("withdrawn")
    if kept is None:
        return None
    party, code = str(kept["party"]), str(kept["code"])
    return SecureFlowError(
        code,
        Text.of_table(WITHDRAWALS[code], {"party": party, "job": job.id}),
        "Ask its data owner, then submit a new job.",
        {"party": party, "withdrawn": True},
    )


FIGURES: Final[tuple[str, ...]] = (
    *("round", "rounds", "point", "points", "loss", "accuracy", "auc"),
)
"""Members of a job's progress that lists show."""


@dataclass(frozen=True)
class JobSummary:
    """What lists show of a job: no spec and no report, which would bloat a page of fifty.

    `error` is `{code, message, hint}` of a failed job (`texts`: their templates and facts);
    `progress` its newest figures.
    """

    id: str
    project: str
    organisation: str
    name: str
    submitter: str
    kind: str
    digest: str
    state: JobState
    created: int
    updated: int
    error: dict[str, Any] | None = None
    progress: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, job: Job) -> JobSummary:
        """Return the summary of a job."""
        parts = ("code", "message", "hint", "texts")
        error = job.error and {part: job.error[part] for part in parts if part in job.error}
        figures = {name: job.progress[name] for name in FIGURES if name in job.progress}
        return cls(
            job.id, job.project, job.organisation, job.name, job.submitter, job.kind, job.digest,
            job.state, job.created, job.updated, error or None, figures,
        )  # fmt: skip


class UnsuccessfulJobError(SecureFlowError):
    """An ended job that did not succeed: its own code, message and hint.

    A waiting program can tell it from a failure of the wait itself; `details` hold `job`, `state`.
    """


def check_transition(job: str, old: JobState, new: JobState) -> None:
    """Refuse a transition that is not in the table (`illegal_transition`); staying is allowed."""
    if new != old and new not in TRANSITIONS[old]:
        raise SecureFlowError(
            "illegal_transition",
            Text("Job {job} is {old} and cannot become {new}.", job=job, old=old, new=new),
            Text(
                "From {old} it can become: {transitions}.",
                old=old,
                transitions=Joined(", ", sorted(TRANSITIONS[old])) or "no other state",
            ),
        )
