"""Submitted jobs: watch, cancel, resume, report."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from secureflow.application.reports.anchored import anchored_view
from secureflow.domain.jobs import Job, JobState, JobSummary
from secureflow.server.rest.bodies import BINARY, BYTES
from secureflow.server.rest.callers import Caller, Use, lets_in
from secureflow.server.rest.documents import IN_FORMS, Wanted
from secureflow.server.rest.idempotency import OnceRoute, told_as
from secureflow.server.rest.languages import SPOKEN, Spoken, spoken
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import (
    LIMIT,
    Cursor,
    Key,
    Limit,
    Listed,
    Narrowed,
    Reference,
    WithAnchors,
    decode_cursor,
    listed,
)
from secureflow.server.rest.streams import Counted, while_let_in
from secureflow.texts import Language

router = router_of("jobs", OnceRoute, f"{PREFIX}/jobs")


class EventShown(BaseModel):
    """An event of a job, as its stream has it; `at` in unix seconds."""

    id: int
    kind: str
    at: int
    data: dict[str, Any]


class EventPage(BaseModel):
    """Events, oldest first."""

    items: list[EventShown]
    next: int


def _spoken(job: Job, language: Language) -> Job:
    error, progress = spoken(job.error, language), spoken(job.progress, language)
    return replace(job, error=error, progress=progress)


def _told(job: dict[str, Any], language: Language) -> dict[str, Any]:
    """Return the JSON of a job in a language."""
    return job | {name: spoken(job[name], language) for name in ("error", "progress")}


@router.get("", summary="List jobs", response_model=Listed[JobSummary])
async def list_jobs(
    use: Use,
    caller: Caller,
    language: Spoken,
    narrowed: Narrowed,
    project: Reference = "",
    state: Annotated[list[JobState | Literal[""]], Query(max_length=16)] = [],  # noqa: B006
    kind: Annotated[str, Query(max_length=64)] = "",
    submitter: Reference = "",
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> object:
    """Return summaries of the jobs of the caller's projects, oldest first unless `newest`.

    Several states: `state=failed&state=cancelled`. `text` is looked for in ids, names, submitters.
    """
    page = await use.jobs.list(
        caller,
        project=project,
        state=[one for one in state if one],
        kind=kind,
        submitter=submitter,
        narrowing=narrowed,
        cursor=decode_cursor(cursor),
        limit=limit,
    )
    rows = [replace(one, error=spoken(one.error, language)) for one in page.items]
    return listed(replace(page, items=rows))


@router.get("/{key}", summary="Get a job")
async def get_job(key: Key, use: Use, caller: Caller, language: Spoken) -> Job:
    """Return a job with its spec, state, progress, and at the end its report.

    While someone waits for room on a disk, for the database, or for a log that signs nothing,
    `progress.waiting` lists them: `party`, `since` (unix seconds), `code`, `message`, the bytes
    `needed` and `free`, and for the log the `hint` how it continues. While parties have no link,
    `progress.absent` maps each to the server that it dialled last, or "", and
    `progress.absent_since` to the unix seconds since when, where that is known. While owners are
    asked for their approval, `progress.approved` lists those who have given it.
    """
    return _spoken(await use.jobs.get(caller, key), language)


@router.post("/{key}/cancel", summary="Cancel a job", dependencies=[SPOKEN])
@told_as(_told)
async def cancel_job(key: Key, use: Use, caller: Caller) -> Job:
    """Cancel a job that the caller's organisation submitted or contributes to."""
    return await use.jobs.cancel(caller, key)


@router.post("/{key}/resume", summary="Resume a paused job", dependencies=[SPOKEN])
@told_as(_told)
async def resume_job(key: Key, use: Use, caller: Caller) -> Job:
    """Resume a paused job, if the server's script matches the job's journal.

    Otherwise it is refused (`script_changed`), naming the difference. A job is resumed at most five
    times.
    """
    return await use.jobs.resume(caller, key)


def _report_page(report: Mapping[str, Any], language: Language) -> str:
    from secureflow.application.reports.page import render  # loaded when a page is read

    return render(report, language)


def _explanation_page(explanation: Mapping[str, Any], language: Language) -> str:
    from secureflow.application.reports.explanation import render  # loaded when a page is read

    return render(explanation, language)


async def _watched(key: Key, use: Use, caller: Counted) -> str:
    """Refuse before the stream begins: afterwards the status is sent already."""
    await use.jobs.get(caller, key)
    return key


@router.get(
    "/{key}/events",
    summary="Watch a job",
    response_class=EventSourceResponse,
    operation_id="watch_job",
)
async def watch_job(
    use: Use,
    caller: Caller,
    request: Request,
    language: Spoken,
    key: Annotated[str, Depends(_watched)],
    after: Annotated[int, Query(ge=0, lt=1 << 53, description="Only events with id > this")] = 0,
    last: Annotated[str, Header(alias="Last-Event-ID", pattern=r"^[0-9]{0,15}$")] = "",
) -> AsyncIterator[ServerSentEvent]:
    """Stream the job's events (`state`, `party`, `round`, `error`, `done`) until it is finished.

    `waiting` events say who waits for what (for room on a disk, for the database), nobody where
    they are empty; they have no id. A broken stream is resumed with `Last-Event-ID`. It also ends
    soon after the caller's token or session.
    """
    events = use.jobs.events(caller, key, max(after, int(last or 0)))
    async for event in while_let_in(events, lambda: lets_in(request, caller)):
        yield ServerSentEvent(
            id=str(event.id) if event.id else None,
            event=event.kind,
            data=spoken(event.data, language),
        )


@router.get("/{key}/history", summary="List a job's events", response_model=EventPage)
async def list_job_events(
    key: Key,
    use: Use,
    caller: Caller,
    language: Spoken,
    after: Annotated[int, Query(ge=0, lt=1 << 53, description="Only events with id > this")] = 0,
    limit: Limit = 500,
) -> object:
    """Return stored events of a job, oldest first; newer ones come by a stream.

    `next` is the next page's `after`, 0 at the end.
    """
    found = await use.jobs.history(caller, key, after=after, limit=limit)
    items = [
        {"id": one.id, "kind": one.kind, "at": one.at, "data": spoken(one.data, language)}
        for one in found
    ]
    return {"items": items, "next": found[-1].id if len(found) == limit else 0}


@router.get(
    "/{key}/report",
    summary="Get a job's report",
    response_class=JSONResponse,
    response_model=dict[str, Any],
    responses=IN_FORMS,
)
async def get_job_report(key: Key, use: Use, caller: Caller, wanted: Wanted) -> Response:
    """Return the finished job's report as JSON, as one self-contained page, or as PDF.

    Without `format` the `Accept` header decides (JSON), without `lang` `Accept-Language`. In JSON
    too sentences are in that language; English keeps what they are made of (`texts`).
    """
    report = await use.jobs.report(caller, key)
    if wanted.form != "json":
        report = {**report, "anchored": anchored_view(await use.audit.anchored(caller, key))}
    return await wanted.answer(report, _report_page, key)


@router.get(
    "/{key}/explain",
    summary="Explain a job",
    response_class=JSONResponse,
    response_model=dict[str, Any],
    responses=IN_FORMS,
)
async def explain_job(key: Key, use: Use, caller: Caller, wanted: Wanted) -> Response:
    """Return who could see what, ε so far and per round, and which attacks the options stop.

    As JSON, as one self-contained page, or as PDF: `format` and `lang` are those of the report.
    """
    explanation = await use.jobs.explain(caller, key)
    return await wanted.answer(explanation, _explanation_page, f"{key}-explanation")


@router.get("/{key}/recipe", summary="Get the recipe of a preparation")
async def get_job_recipe(key: Key, use: Use, caller: Caller) -> dict[str, Any]:
    """Return the fitted steps; the BLAKE3 of their canonical JSON is the report's digest."""
    return await use.recipes.of_report(key, await use.jobs.report(caller, key))


@router.get(
    "/{key}/totals",
    summary="Get the totals of a computation",
    response_class=StreamingResponse,
    responses={200: BYTES},
)
async def get_job_totals(key: Key, use: Use, caller: Caller) -> StreamingResponse:
    """Return the totals by keys as a .npy file of int64; the report says what stands where."""
    report = await use.jobs.report(caller, key)
    digest, size, stream = await use.totals.of_report(key, report)
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": f'attachment; filename="{key}.npy"',
        "ETag": f'"{digest}"',
    }
    return StreamingResponse(stream, media_type=BINARY, headers=headers)


@router.get("/{key}/bundle", summary="Get a job's audit bundle")
async def get_job_bundle(
    key: Key, use: Use, caller: Caller, anchors: WithAnchors = True
) -> dict[str, Any]:
    """Return what `secureflow audit verify` checks offline."""
    return await use.audit.bundle(caller, key, anchors=anchors)
