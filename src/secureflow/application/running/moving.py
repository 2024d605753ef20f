"""A job's moves from state to state, each with its event, in the runner's transaction."""

from __future__ import annotations

from dataclasses import replace

from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.running.replaying import RunningJob
from secureflow.domain.jobs import Job, JobState, check_transition
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import with_texts


async def move(unit: UnitOfWork, job: str, state: JobState, reason: str, now: int) -> Job:
    """Move a job to a state, unless it is in it; return it.

    Raises:
        SecureFlowError: `illegal_transition`.
    """
    entity = await unit.jobs.get(job)
    check_transition(job, entity.state, state)
    moved = replace(entity, state=state, updated=now)
    if moved.state != entity.state:
        await unit.jobs.save(moved)
        told = with_texts({"state": state.value, "reason": reason})
        await unit.events.append(job, "state", now, told)
    return moved


async def end(unit: UnitOfWork, running: RunningJob, now: int) -> None:
    """Store how a script has ended: its report, or its error."""
    error = running.error
    if error is None:
        job = await move(unit, running.job, JobState.SUCCEEDED, "", now)
        await unit.jobs.save(replace(job, report=running.report))
    else:
        state = JobState.CANCELLED if error.code == "cancelled" else JobState.FAILED
        job = await move(unit, running.job, state, error.message, now)
        await unit.jobs.save(replace(job, error=error.as_json()))
        await unit.events.append(running.job, "error", now, error.as_json())
    await unit.events.append(running.job, "done", now, {"state": job.state.value})


async def pause(unit: UnitOfWork, job: str, error: SecureFlowError, now: int) -> None:
    """Pause a job with the error that stopped it."""
    paused = await move(unit, job, JobState.PAUSED, error.message, now)
    await unit.jobs.save(replace(paused, error=error.as_json()))
    await unit.events.append(job, "error", now, error.as_json())
