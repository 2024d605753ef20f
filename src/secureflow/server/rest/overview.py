"""What the console's first and administrative pages show: overview, links, verdicts, limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Query

from secureflow.application.attestations import AttestationPage
from secureflow.application.limits import LimitsView
from secureflow.application.links import LinkView
from secureflow.application.overview import Overview
from secureflow.domain.jobs import JobSummary
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.languages import Spoken, spoken
from secureflow.server.rest.routers import router_of
from secureflow.server.rest.shapes import LIMIT, Cursor, Key, Limit, Reference, decode_cursor
from secureflow.texts import Language, told

router = router_of("overview", OnceRoute)


@router.get("/overview", summary="Get the overview")
async def get_overview(use: Use, caller: Caller, language: Spoken) -> Overview:
    """Return what waits for whom, what runs, what failed and why, and the state of links.

    Approvals are decided at the owners' agents; how many people must agree there is the owner's
    own rule, which the centre is not told (`people` is null). `platform` is for operators.
    """
    found = await use.overviews.of(caller)
    return replace(
        found,
        running=[_row(job, language) for job in found.running],
        failed=[_row(job, language) for job in found.failed],
        links=[_link(one, language) for one in found.links],
    )


@router.get("/agents/{key:path}/link", summary="Get an agent's link step by step")
async def get_agent_link(key: Key, use: Use, caller: Caller, language: Spoken) -> LinkView:
    """Return each step of a link as the centre sees it; `key` is the agent's SPIFFE id.

    The steps before (name, port, TLS) are seen from the agent: `secureflow agent doctor`. A step
    that is not `ok` has its cause, who can mend it, and the command.
    """
    return _link(await use.links.of(caller, key), language)


@router.get("/attestations", summary="List verdicts on the enclave")
async def list_attestations(
    use: Use,
    caller: Caller,
    party: Reference = "",
    before: Annotated[int, Query(ge=0, lt=1 << 53, description="`next` of the previous page")] = 0,
    limit: Limit = LIMIT,
) -> AttestationPage:
    """Return the agents' signed verdicts, newest first; those under the SIMULATED root say so."""
    return await use.attestations.list(caller, party=party, before=before, limit=limit)


@router.get("/limits", summary="Get limits and their use")
async def get_limits(use: Use, caller: Caller, cursor: Cursor = "") -> LimitsView:
    """Return the limits of the caller's organisation, or for operators of all, and their use."""
    return await use.limits.of(caller, cursor=decode_cursor(cursor))


def _row(job: JobSummary, language: Language) -> JobSummary:
    return replace(job, error=spoken(job.error, language))


def _link(one: LinkView, language: Language) -> LinkView:
    steps = [replace(step, cause=told(step.cause, language)) for step in one.steps]
    return replace(one, steps=steps)
