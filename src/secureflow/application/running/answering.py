"""Notes which owners have answered a request for their approval, while others still think.

A script goes on once all have answered; people want to know before for whom it waits. What is noted
decides nothing: after a restart every owner is asked again, and those that answered do so at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from secureflow.application.ports.changes import ChangeKind
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.jobs import Job
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

SLOW: Final = frozenset({"consent"})
"""Verbs that people answer, which may take days."""
APPROVED: Final = "approved"
"""Key of those who have approved in the progress of a job that waits for others; not stored."""
_log = get_logger(__name__)


async def note_answer(begin: UnitOfWorkFactory, job: str, seq: int, party: str) -> None:
    """Note that a party answered an effect of a job that others have not answered yet."""
    try:
        async with begin() as work:
            await work.outbox.answered(job, seq, party)
            work.changes.note(ChangeKind.JOB, job)
            await work.commit()
    except SecureFlowError as error:  # only information for people
        _log.info("answer_not_noted", job=job, party=party, code=error.code)


async def with_approvals(work: UnitOfWork, job: Job) -> Job:
    """Return a job for clients: one that waits for owners' approval with who has approved it."""
    if job.state.final:
        return job
    asked = await work.outbox.open_requests(job.id)
    waits = {party for party, verb in asked if verb in SLOW}
    parties = [str(line["party"]) for line in job.spec.get("roster", ())]
    approved = [one for one in parties if one not in waits]
    if not waits or not approved:
        return job
    return replace(job, progress={**job.progress, APPROVED: list(approved)})
