"""Resuming paused jobs by hand: what is recorded, and how often it is allowed.

Only a job paused by an infrastructure fault is resumed automatically. Others are resumed by a
person who could cancel the job as well, as the ledger records. The journal is replayed first: a
script that asks for something else is not continued.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.running.replaying import RunningJob
from secureflow.application.running.windups import ends_without_script
from secureflow.domain.jobs import Job, JobState, check_transition
from secureflow.engines.script import AwaitResume
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

RESUMED: Final = "resumed"
"""Key in a job's progress for who resumed it, and when: `[{"by", "at"}]`."""
MOST: Final = 5
"""Maximum resumptions of a job: one that keeps stopping will not get further."""
LEAF: Final = "job.resumed"
_AWAITED: Final = "awaits_resume"
"""Key in a job's progress for the effect in which its script waits to be resumed."""


async def begin_waiting(unit: UnitOfWork, running: RunningJob) -> None:
    """Note, once, how often a job had been resumed when its script began to wait for that.

    A later resumption is the one that it waits for; the caller's transaction.
    """
    job = await unit.jobs.get(running.job)
    if (job.progress.get(_AWAITED) or {}).get("seq") != running.seq:
        awaited = {"seq": running.seq, "tries": len(tries(job))}
        await unit.jobs.save(replace(job, progress={**job.progress, _AWAITED: awaited}))


def _was_resumed(job: Job, seq: int) -> bool:
    """Tell whether a job was resumed since its script began to wait for that, in this effect."""
    awaited = job.progress.get(_AWAITED) or {}
    return awaited.get("seq") == seq and len(tries(job)) > int(awaited["tries"])


async def check_resumed(
    begin: UnitOfWorkFactory, running: RunningJob, effect: AwaitResume
) -> None:  # fmt: skip
    """Refuse to go on with a job whose script waits to be resumed, with the script's own error.

    A cancellation is told to the script instead (`resumed_by`).

    Raises:
        SecureFlowError: the effect's.
    """
    if running.cancel.is_set():
        return
    async with begin() as unit:
        if not _was_resumed(await unit.jobs.get(running.job), running.seq):
            raise SecureFlowError.from_json(dict(effect.error))


async def resumed_by(begin: UnitOfWorkFactory, running: RunningJob) -> JSON:
    """Return who resumed a job (`AwaitResume`).

    Raises:
        SecureFlowError: `cancelled`.
    """
    if running.cancel.is_set():
        raise SecureFlowError("cancelled", Text("Job {job} was cancelled.", job=running.job))
    async with begin() as unit:
        return {"by": tries(await unit.jobs.get(running.job))[-1]["by"]}


def tries(job: Job) -> list[dict[str, Any]]:
    """Return the job's resumptions, oldest first."""
    return list(job.progress.get(RESUMED, ()))


def already_finished(job: Job) -> SecureFlowError:
    """Return the error for changes to a job that has ended."""
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
    if ends_without_script(job):  # our leaf after its end would not verify
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
    """Return the job with one more resumption, in its script's state."""
    check_transition(job.id, job.state, state)
    kept = [*tries(job), {"by": by, "at": at}]
    return replace(
        job, state=state, updated=at, error=None, progress={**job.progress, RESUMED: kept}
    )
