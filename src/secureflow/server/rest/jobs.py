"""Jobs: dry run, submit, watch, cancel, report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field

from secureflow.application.jobs.kind import Wanted
from secureflow.application.jobs.submission import Submission
from secureflow.domain.jobs import Job, JobState, JobSummary
from secureflow.domain.specs.base import Limits, Protection, Quantisation, dump
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.training import FeatureSpec, ModelSpec, Release, Resume, TrainingPlan
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute, changes_nothing
from secureflow.server.rest.shapes import (
    LIMIT,
    Asked,
    Cursor,
    Key,
    Limit,
    Line,
    Listed,
    Reference,
    decode_cursor,
    listed,
)
from secureflow.server.rest.streams import Counted, while_let_in

_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=OnceRoute)


class JobRequest(Asked):
    """A training job. The server adds the roster with keys from the charter."""

    project: Reference = Field(examples=["prj_01jf2k"])
    name: Line = Field(examples=["income model"])
    purpose: Line = Field(examples=["credit-scoring"])
    datasets: list[Reference] = Field(
        max_length=256, description="One dataset of each contributor", examples=[["dst_01jf2k"]]
    )
    parties: list[Line] = Field(
        [],
        max_length=256,
        description="Members that take part in a rehearsal without a dataset",
        examples=[[]],
    )
    features: FeatureSpec | None = None
    model: ModelSpec | None = None
    plan: TrainingPlan | None = None
    limits: Limits | None = None
    release: Release | None = None
    protection: Protection | None = None
    quantisation: Quantisation | None = None
    privacy: Privacy | None = None
    min_contributors: int | None = Field(None, ge=1, le=256)
    resume: Resume | None = None

    def wanted(self) -> Wanted:
        """Return the wish in the application's form."""
        structured = (
            *("features", "model", "plan", "limits", "release"),
            *("quantisation", "privacy", "resume"),
        )
        parts: dict[str, Any] = {
            name: dump(part) for name in structured if (part := getattr(self, name)) is not None
        }
        parts |= {"protection": self.protection, "min_contributors": self.min_contributors}
        return Wanted(
            self.project,
            self.name,
            self.purpose,
            tuple(self.datasets),
            parts,
            tuple(self.parties),
        )


@router.get("", summary="List jobs", response_model=Listed[JobSummary])
async def list_jobs(
    use: Use,
    caller: Caller,
    project: Reference = "",
    state: JobState | Literal[""] = "",
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> object:
    """Return summaries of the jobs of the caller's projects, oldest first."""
    page = await use.jobs.list(
        caller, project=project, state=state, cursor=decode_cursor(cursor), limit=limit
    )
    return listed(page)


@router.post("", summary="Submit a job", status_code=201)
async def submit_job(body: JobRequest, use: Use, caller: Caller) -> Job:
    """Propose a job; its contributors' agents are asked for consent at once."""
    return await use.jobs.submit(caller, body.wanted())


@router.post("/dry-run", summary="Check a job")
@changes_nothing
async def dry_run_job(body: JobRequest, use: Use, caller: Caller) -> Submission:
    """Check a job and return its spec and digest; nothing is made."""
    return await use.jobs.rehearse(caller, body.wanted())


@router.get("/{key}", summary="Get a job")
async def get_job(key: Key, use: Use, caller: Caller) -> Job:
    """Return a job with its spec, state, progress, and at the end its report.

    While somebody waits for room on a disk, for the database, or for a log that signs nothing,
    `progress.waiting` lists who does: `party`, `since` (unix seconds), `code`, `message`, the bytes
    `needed` and `free`, and of the log the `hint` how it goes on.
    """
    return await use.jobs.get(caller, key)


@router.post("/{key}/cancel", summary="Cancel a job")
async def cancel_job(key: Key, use: Use, caller: Caller) -> Job:
    """Cancel a job that the own organisation submitted or contributes to."""
    return await use.jobs.cancel(caller, key)


@router.post("/{key}/resume", summary="Resume a paused job")
async def resume_job(key: Key, use: Use, caller: Caller) -> Job:
    """Go on with a paused job, if the server's script asks for what the job has recorded.

    Else it is refused (`script_changed`), naming what differs. A job is resumed five times at most.
    """
    return await use.jobs.resume(caller, key)


async def _watched(key: Key, use: Use, caller: Counted) -> str:
    """Refuse before the stream begins: afterwards no status can tell."""
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
    key: Annotated[str, Depends(_watched)],
    after: Annotated[int, Query(ge=0, lt=1 << 53, description="Only events with id > this")] = 0,
    last: Annotated[str, Header(alias="Last-Event-ID", pattern=r"^[0-9]{0,15}$")] = "",
) -> AsyncIterator[ServerSentEvent]:
    """Stream the job's events (`state`, `party`, `round`, `error`, `done`) until it is finished.

    `waiting` events say who waits for what (for room on a disk, for the database), nobody where
    they are empty; they have no id. A broken stream is resumed with `Last-Event-ID`. It ends, too,
    soon after the caller's token does.
    """
    events = use.jobs.events(caller, key, max(after, int(last or 0)))
    async for event in while_let_in(events, lambda: use.tokens.holds(caller)):
        yield ServerSentEvent(
            id=str(event.id) if event.id else None, event=event.kind, data=event.data
        )


@router.get(
    "/{key}/report",
    summary="Get a job's report",
    response_class=JSONResponse,
    response_model=dict[str, Any],
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
)
async def get_job_report(
    key: Key,
    use: Use,
    caller: Caller,
    form: Annotated[Literal["json", "html"], Query(alias="format")] = "json",
    lang: Literal["en", "zh"] = "en",
) -> Response:
    """Return the finished job's report as JSON or as one self-contained page."""
    report = await use.jobs.report(caller, key)
    # In a thread: thousands of answers make a page of megabytes, and others wait meanwhile.
    if form == "json":
        return await asyncio.to_thread(JSONResponse, report)
    from secureflow.application.reports.page import (
        render,  # only who reads a page loads its renderer
    )

    page = await asyncio.to_thread(render, report, lang)
    return HTMLResponse(page, headers={"Content-Security-Policy": _PAGE_POLICY})


@router.get("/{key}/explain", summary="Explain a job")
async def explain_job(key: Key, use: Use, caller: Caller) -> dict[str, Any]:
    """Return who could see what, ε so far and per round, and which attacks the options stop."""
    return await use.jobs.explain(caller, key)


@router.get("/{key}/bundle", summary="Get a job's audit bundle")
async def get_job_bundle(key: Key, use: Use, caller: Caller) -> dict[str, Any]:
    """Return what `secureflow audit verify` checks offline."""
    return await use.audit.bundle(caller, key)
