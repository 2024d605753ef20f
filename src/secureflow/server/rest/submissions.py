"""Requests for jobs of every kind: dry run and submission. Afterwards all jobs are alike."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query

from secureflow.application.jobs.kind import Wanted
from secureflow.application.jobs.submission import Submission
from secureflow.domain.jobs import Job
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.request import JobRequest
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute, changes_nothing
from secureflow.server.rest.languages import Spoken
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.texts import told

Coming = Annotated[
    str,
    Query(
        pattern="^([0-9a-f]{64})?$",
        description="Digest of what is uploaded before the job is submitted, not before its check",
    ),
]


def submissions(kinds: SpecKinds) -> APIRouter:
    """Return the routes that take a request of any of these kinds; its `kind` selects which."""
    router = router_of("jobs", OnceRoute, f"{PREFIX}/jobs")

    async def submit_job(body: JobRequest, use: Use, caller: Caller) -> Job:
        """Propose a job; its contributors' agents are asked for consent at once."""
        return await use.jobs.submit(caller, Wanted.of(body))

    @changes_nothing
    async def dry_run_job(
        body: JobRequest,
        use: Use,
        caller: Caller,
        language: Spoken,
        bundle: Coming = "",
        weights: Coming = "",
    ) -> Submission:
        """Check a job and return its spec, digest and cost; nothing is created.

        `bundle` and `weights` are digests of what the job names and is not yet uploaded.
        """
        wanted = replace(Wanted.of(body), coming=frozenset({bundle, weights} - {""}))
        checked = await use.jobs.dry_run(caller, wanted)
        if language == "en":
            return checked
        return replace(
            checked, notes=tuple(told(note, language) for note in checked.notes), texts={}
        )

    for endpoint in (submit_job, dry_run_job):
        endpoint.__annotations__["body"] = _any_of(kinds)
    router.post("", summary="Submit a job", status_code=201)(submit_job)
    router.post("/dry-run", summary="Check a job")(dry_run_job)
    return router


def _any_of(kinds: SpecKinds) -> Any:
    asked: list[Any] = [kind.request for kind in kinds.values()]
    if len(asked) == 1:
        return Annotated[asked[0], Body()]
    return Annotated[reduce(or_, asked), Body(discriminator="kind")]
