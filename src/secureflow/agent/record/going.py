"""Whether an approved job goes on here: its owner may have stopped it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secureflow.agent.record.records import JobRecord
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

STOPPED: Final[Mapping[str, str]] = {
    "approval_withdrawn": "This organisation has withdrawn its approval of job {job}.",
    "grant_revoked": "This organisation has revoked the grant of job {job}.",
    "project_stopped": "This organisation has stopped the project of job {job} at its agent.",
    "requester_blocked": "This organisation takes part in no job of who submitted job {job}.",
}
"""Outcomes by which this owner stops a job; the errors of every later request of it."""


def check_going(record: JobRecord | None) -> None:
    """Refuse to go on with a job that its owner has stopped here.

    What commits this party to anything calls it in its transaction: a revocation that was recorded
    before is never overtaken by a vote.

    Raises:
        SecureFlowError: `approval_withdrawn`, `grant_revoked`, `project_stopped`,
            `requester_blocked`.
    """
    if record is not None and record.outcome in STOPPED:
        raise stopped_here(record.outcome, record.job)


def stopped_here(code: str, job: str) -> SecureFlowError:
    """Return the error of a request of a job that this owner has stopped, by the code of why."""
    return SecureFlowError(
        code,
        Text.of_table(STOPPED[code], {"job": job}),
        "Nothing more of this organisation's goes into it: ask its data owner, then submit a "
        "new job.",
    )
