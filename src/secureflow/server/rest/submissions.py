"""Requests for jobs of every kind: dry run and submission. Afterwards all jobs are alike."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Query

from secureflow.application.jobs.drafting import Checked, Fault, in_words
from secureflow.application.jobs.kind import Wanted
from secureflow.application.jobs.submission import Submission
from secureflow.domain.jobs import Job
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.request import JobRequest
from secureflow.kit.canonical import JSON
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute, changes_nothing
from secureflow.server.rest.languages import Spoken, spoken
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.texts import Language, explained, told

_Told = TypeVar("_Told", Submission, Checked)

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
        return _told(checked, language)

    @changes_nothing
    async def check_draft(
        body: dict[str, JSON], use: Use, caller: Caller, language: Spoken
    ) -> Checked:
        """Tell everything that is wrong with a draft, and what it would be; it may be half filled.

        Nothing is created. Without `problems` it can be submitted as it is. The same `digest` is
        that of the dry run, of the CLI's too.
        """
        found = await use.drafts.check(caller, body)
        faults = tuple(_fault(one, language) for one in found.problems)
        return _told(replace(found, problems=faults), language)

    for endpoint in (submit_job, dry_run_job):
        endpoint.__annotations__["body"] = _any_of(kinds)
    router.post("", summary="Submit a job", status_code=201)(submit_job)
    router.post("/dry-run", summary="Check a job")(dry_run_job)
    router.post("/check-draft", summary="Check a draft of a job")(check_draft)
    return router


def _told(made: _Told, language: Language) -> _Told:
    """Return an answer in a language; an English one keeps what its sentences are made of."""
    preview = made.preview
    if preview is not None:
        preview = replace(preview, learns=tuple(spoken(list(preview.learns), language)))
    if language == "en":
        return replace(made, preview=preview)
    notes = tuple(told(note, language) for note in made.notes)
    return replace(made, preview=preview, notes=notes, texts={})


def _fault(one: Fault, language: Language) -> Fault:
    if language == "en":
        return one
    message, hint = in_words(one)
    said = str(explained(one.code, message, language))
    return replace(one, message=said, hint=str(told(hint, language)), texts={})


def _any_of(kinds: SpecKinds) -> Any:
    asked: list[Any] = [kind.request for kind in kinds.values()]
    if len(asked) == 1:
        return Annotated[asked[0], Body()]
    return Annotated[reduce(or_, asked), Body(discriminator="kind")]
