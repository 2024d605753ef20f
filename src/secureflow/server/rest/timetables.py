"""Timetables: which runs of a job there were, and which come; pausing them."""

from __future__ import annotations

from fastapi import APIRouter

from secureflow.application.timetables import TimetableView
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


@router.get("", summary="List timetables", response_model=Listed[TimetableView])
async def list_timetables(
    use: Use,
    caller: Caller,
    project: Reference = "",
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> object:
    """Return the timetables of the caller's projects, oldest first; times in unix seconds."""
    page = await use.timetables.list(
        caller, project=project, cursor=decode_cursor(cursor), limit=limit
    )
    return listed(page)


@router.get("/{key}", summary="Get a timetable")
async def get_timetable(key: Key, use: Use, caller: Caller) -> TimetableView:
    """Return a timetable with its next run and the newest ones; times in unix seconds."""
    return await use.timetables.get(caller, key)


@router.post("/{key}/pause", summary="Pause a timetable")
async def pause_timetable(key: Key, use: Use, caller: Caller) -> TimetableView:
    """Have its runs left out until it is taken up again; one that runs goes on to its end."""
    return await use.timetables.pause(caller, key)


@router.post("/{key}/resume", summary="Take a timetable up again")
async def resume_timetable(key: Key, use: Use, caller: Caller) -> TimetableView:
    """Take it up again, as the organisation that paused it; passed runs stay left out."""
    return await use.timetables.resume(caller, key)
