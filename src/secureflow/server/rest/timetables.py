"""Timetables: which runs of a job there were, and which come; pausing them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from secureflow.application.timetables import TimetableView
from secureflow.domain.jobs import JobState
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import (
    LIMIT,
    Cursor,
    Key,
    Limit,
    Listed,
    Reference,
    decode_cursor,
    listed,
)

router: APIRouter = router_of("timetables", OnceRoute, f"{PREFIX}/timetables")


class Timetable(BaseModel):
    """A job that runs again and again; times in unix seconds."""

    job: str = Field(description="Id of the timetable, a job itself", examples=["job_01jf2k"])
    name: str
    project: str
    organisation: str
    submitter: str
    state: JobState
    of: str = Field(description="The kind of job that runs", examples=["statistics"])
    first: int = Field(description="When the first run starts")
    every: int = Field(description="Seconds from each run to the next", examples=[86400])
    runs: int = Field(description="How many runs the owners approved", examples=[30])
    window: int = Field(description="Seconds after its time within which a run may begin")
    last_at: int = Field(description="When the last run starts")
    next_run: int = Field(description="Number of the run that is awaited or runs, or 0")
    next_at: int = Field(description="Its time, or 0")
    paused_by: str = Field(description="Who paused it, or empty")
    last: list[dict[str, Any]] = Field(
        description="The newest runs: run, at, job, state, and why one was left out"
    )


@router.get("", summary="List timetables", response_model=Listed[Timetable])
async def list_timetables(
    use: Use,
    caller: Caller,
    project: Reference = "",
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> object:
    """Return the timetables of the caller's projects, oldest first."""
    page = await use.timetables.list(
        caller, project=project, cursor=decode_cursor(cursor), limit=limit
    )
    return listed(page)


@router.get("/{key}", summary="Get a timetable")
async def get_timetable(key: Key, use: Use, caller: Caller) -> Timetable:
    """Return a timetable with its next run and the newest ones."""
    return _shown(await use.timetables.get(caller, key))


@router.post("/{key}/pause", summary="Pause a timetable")
async def pause_timetable(key: Key, use: Use, caller: Caller) -> Timetable:
    """Have its runs left out until it is taken up again; one that runs goes on to its end."""
    return _shown(await use.timetables.pause(caller, key))


@router.post("/{key}/resume", summary="Take a timetable up again")
async def resume_timetable(key: Key, use: Use, caller: Caller) -> Timetable:
    """Take it up again, as the organisation that paused it; passed runs stay left out."""
    return _shown(await use.timetables.resume(caller, key))


def _shown(view: TimetableView) -> Timetable:
    return Timetable(**asdict(view))
