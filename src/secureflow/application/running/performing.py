"""The effects that a job performs in its own transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.running import moving
from secureflow.application.running.publishing import publish
from secureflow.application.running.replaying import RunningJob
from secureflow.domain.jobs import JobState
from secureflow.engines.script import Move, Now, Publish, Tell
from secureflow.kit.canonical import JSON


async def perform_inside(unit: UnitOfWork, running: RunningJob, now_ms: Callable[[], int]) -> JSON:
    """Perform the current effect of a job; return its answer.

    Args:
        unit: the job's transaction.
        running: whose effect is none of those that others answer.
        now_ms: unix milliseconds.
    """
    now = now_ms() // 1000
    match running.effect:
        case Move() as move:
            running.state = JobState(move.state)
            await moving.move(unit, running.job, running.state, move.reason, now)
        case Tell() as tell:
            await unit.events.append(running.job, tell.kind, now, dict(tell.data))
            if tell.progress:
                job = await unit.jobs.get(running.job)
                progress = {**job.progress, **tell.progress}
                await unit.jobs.save(replace(job, progress=progress))
        case Publish() as published:
            return await publish(unit, running.job, published.model, now)
        case Now():
            return now_ms()
    return None


async def journal(unit: UnitOfWork, running: RunningJob) -> None:
    """Journal what is not durable yet, and take out of the outbox what is answered by it."""
    if running.undurable:
        await unit.journal.append(running.job, running.undurable)
        if running.owed:
            await unit.outbox.clear(running.job, running.undurable[-1].seq)
            running.owed = False
        running.undurable = []
