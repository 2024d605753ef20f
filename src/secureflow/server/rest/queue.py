"""The queue: which jobs wait for their turn, and what goes first."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from secureflow.domain.jobs import Job
from secureflow.domain.priorities import Priority
from secureflow.domain.queue import QueuedJob, Standing
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import Key, RequestBody

router: APIRouter = router_of("queue", OnceRoute, PREFIX)


class QueueLine(BaseModel):
    """A job that waits for its turn, or runs."""

    job: str = Field(examples=["job_01jf2k"])
    organisation: str = Field(examples=["bank-a"])
    user: str = Field(description="Who submitted it", examples=["ada"])
    priority: int = Field(description="From 0 to 9; the highest goes first")
    since: int = Field(description="Unix seconds since when it is in the queue")
    not_before: int = Field(description="Unix seconds before which it does not start, or 0")
    started: bool = Field(description="Whether it has its place")
    ahead: int = Field(description="How many jobs would be started before it, if it waits")
    waits_for: str = Field(
        description="Which limit holds it up: running, of_organisation, of_user; time; or nothing"
    )


class Queue(BaseModel):
    """The queue as the caller may see it."""

    items: list[QueueLine]


class PriorityChange(RequestBody):
    """Another priority of a job that has not started."""

    priority: Priority = Field(examples=[7])


@router.get("/queue", summary="List the queue")
async def list_queue(use: Use, caller: Caller) -> Queue:
    """Return the jobs of the caller's organisation that wait or run, the next one first.

    The operator sees all; others learn of foreign jobs only how many are ahead.
    """
    return Queue(items=[_shown(*row) for row in await use.queue.list(caller)])


@router.post("/jobs/{key}/priority", summary="Change a job's priority")
async def prioritise_job(key: Key, body: PriorityChange, use: Use, caller: Caller) -> Job:
    """Give a job that waits another priority; up to 5 its submitter, to 7 an administrator."""
    return await use.queue.prioritise(caller, key, body.priority)


def _shown(line: QueuedJob, at: Standing) -> QueueLine:
    waits_for = "" if line.started else "time" if at.not_before else at.full
    return QueueLine(
        job=line.job,
        organisation=line.organisation,
        user=line.user,
        priority=line.priority,
        since=line.since,
        not_before=line.not_before,
        started=line.started,
        ahead=0 if line.started else at.ahead,
        waits_for=waits_for,
    )
