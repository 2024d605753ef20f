"""A paused job is resumed by somebody's word: what is kept of it, and how often that may be.

`paused` is left without anybody's word only where a fault of the infrastructure caused it. For the
rest somebody says so, who could cancel the job as well; the ledger keeps who. What the job asked
for and was answered is replayed first: a script that asks for something else is not gone on with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from secureflow.application.running.windups import ends_without_script
from secureflow.domain.jobs import Job, JobState, check_transition
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

RESUMED: Final = "resumed"
"""Where a job's progress holds who resumed it, and when: `[{"by", "at"}]`."""
MOST: Final = 5
"""How often a job may be resumed: one that stops again each time will not get further."""
LEAF: Final = "job.resumed"


def tries(job: Job) -> list[dict[str, Any]]:
    """Return the job's resumptions, oldest first."""
    return list(job.progress.get(RESUMED, ()))


def already_finished(job: Job) -> SecureFlowError:
    """Return the refusal of whatever would change how a job ended."""
    return SecureFlowError(
        "already_finished",
        Text("Job {id} is already {state}.", id=job.id, state=job.state),
        Text("See how it ended: secureflow job show {id}.", id=job.id),
    )


def check_resumable(job: Job) -> None:
    """Refuse a job that cannot be resumed now.

    Raises:
        SecureFlowError: `already_finished`, `not_paused`, `resumed_too_often`.
    """
    if job.state.final:
        raise already_finished(job)
    if job.state is not JobState.PAUSED:
        raise SecureFlowError(
            "not_paused",
            Text("Job {id} is {state}, not paused.", id=job.id, state=job.state),
            Text("It continues by itself: secureflow job watch {id}.", id=job.id),
        )
    if ends_without_script(job):  # a leaf of ours behind its end would not verify
        raise SecureFlowError(
            "not_paused",
            Text("Job {id} is about to end and cannot be resumed.", id=job.id),
            Text("See how it ends: secureflow job watch {id}.", id=job.id),
        )
    if len(tries(job)) >= MOST:
        raise SecureFlowError(
            "resumed_too_often",
            Text(
                "Job {id} was resumed {most} times and paused again each time.",
                id=job.id,
                most=MOST,
            ),
            Text(
                "Cancel it: secureflow job cancel {id}. A new job can continue from its "
                "last released model (--from).",
                id=job.id,
            ),
            {"resumed": tries(job)},
        )


def resumed(job: Job, state: JobState, by: str, at: int) -> Job:
    """Return the job with one more resumption, in the state of its script."""
    check_transition(job.id, job.state, state)
    kept = [*tries(job), {"by": by, "at": at}]
    return replace(
        job, state=state, updated=at, error=None, progress={**job.progress, RESUMED: kept}
    )
