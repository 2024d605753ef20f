"""Revenue agreements of projects, and settlements by them.

What is shown here follows from the jobs' records; members decide at their own agents, which compute
it again from records that they verified.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from secureflow.application.settlements import Shown
from secureflow.application.statements import statement, table, view
from secureflow.engines.revenue.agreement import MAX_AMOUNT, MAX_DAYS, MAX_QUALITY, MAX_WEIGHT
from secureflow.engines.revenue.settlement import MAX_JOBS
from secureflow.engines.revenue.view import SettlementView
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.documents import IN_FORMS, Wanted
from secureflow.server.rest.idempotency import OnceRoute, changes_nothing, shown_as
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import Key, Reference, RequestBody, Slug
from secureflow.texts import Language

router = router_of("revenue", OnceRoute, f"{PREFIX}/projects/{{key}}")
settlements = router_of("revenue", OnceRoute, f"{PREFIX}/settlements")
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
KindName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$", examples=["training"])]


class AgreementVersion(BaseModel):
    """A version of an agreement with its signatures, and who must still sign it."""

    agreement: dict[str, Any]
    signatures: dict[str, str]
    digest: Digest
    signed: list[str] = Field(examples=[["bank-a"]])
    must_sign: list[str] = Field(description="Without whom it will not stand")
    of_the_version_before: int = Field(
        description="How many members of the version before must sign it"
    )


class ProjectAgreement(BaseModel):
    """A project's agreement: the version that stands, the one that waits, and earlier ones."""

    project: str = Field(examples=["prj_01jf2k"])
    current: AgreementVersion | None
    candidate: AgreementVersion | None
    earlier: list[AgreementVersion]


class MeasureWeights(RequestBody):
    """How much each measure counts; only their relation matters."""

    scores: int = Field(1, ge=0, le=MAX_WEIGHT, description="Signed contribution scores")
    rows: int = Field(0, ge=0, le=MAX_WEIGHT, description="Signed rows times agreed quality")
    participation: int = Field(0, ge=0, le=MAX_WEIGHT, description="Signed rounds and stages")


class AgreementTerms(RequestBody):
    """The terms of the next version, for the members that the project has now."""

    weights: MeasureWeights
    floor: int = Field(0, ge=0, le=10_000, description="Basis points of each party of a job")
    rounding: Slug = Field(examples=["bank-a"])
    currency: str = Field(pattern=r"^[A-Z]{3}$", examples=["EUR"], description="ISO 4217")
    window_days: int = Field(30, ge=0, le=MAX_DAYS)
    payer: Slug = Field(examples=["bank-a"])
    per_job: int = Field(0, ge=0, le=MAX_AMOUNT, description="Minor units of each job")
    entered: bool = Field(True, description="Whether a settlement may bring an amount of its own")
    unscored: Literal["left_out", "other_measures", "equal"] = "left_out"
    kinds: list[KindName] = Field(
        [], max_length=32, description="Kinds of job that count; empty: every kind"
    )
    quality: dict[Slug, Annotated[int, Field(ge=0, le=MAX_QUALITY)]] = Field(
        {}, max_length=256, description="Agreed quality of a member's data in per cent; else 100"
    )


class SettlementRequest(RequestBody):
    """What to settle."""

    jobs: list[Reference] = Field(
        [], max_length=MAX_JOBS, description="By default all that succeeded and wait for one"
    )
    entered: int = Field(0, ge=0, le=MAX_AMOUNT, description="Minor units beside the fixed ones")
    replaces: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""


class SettlementList(BaseModel):
    """The settlements of a project, oldest first."""

    items: list[SettlementView]


def _agreed(value: dict[str, Any]) -> ProjectAgreement:
    return ProjectAgreement(**value)


@router.get("/revenue", summary="Get the revenue agreement of a project")
async def get_revenue_agreement(key: Key, use: Use, caller: Caller) -> ProjectAgreement:
    """Return the version that stands, the one that waits for signatures, and earlier ones."""
    return _agreed(await use.agreements.show(caller, key))


@router.post("/revenue", summary="Draft a revenue agreement", status_code=201)
@shown_as(_agreed)
async def draft_revenue_agreement(
    key: Key, body: AgreementTerms, use: Use, caller: Caller
) -> ProjectAgreement:
    """Draft the next version (a lead of the project); members sign it at their agents."""
    terms = body.model_dump()
    quality = terms.pop("quality")
    return _agreed(await use.agreements.draft(caller, key, terms, quality))


@router.get("/settlements", summary="List the settlements of a project")
async def list_settlements(key: Key, use: Use, caller: Caller) -> SettlementList:
    """Return a project's settlements with all figures and states, oldest first."""
    found = await use.settlements.list(caller, key)
    return SettlementList(items=await asyncio.to_thread(lambda: [view(one) for one in found]))


@router.post("/settlements/preview", summary="Preview a settlement")
@changes_nothing
async def preview_settlement(
    key: Key, body: SettlementRequest, use: Use, caller: Caller
) -> SettlementView:
    """Return what a settlement would be; nothing is stored."""
    return view(await use.settlements.preview(caller, key, body.jobs, body.entered, body.replaces))


@router.post("/settlements", summary="Open a settlement", status_code=201)
@shown_as(view)
async def open_settlement(
    key: Key, body: SettlementRequest, use: Use, caller: Caller
) -> SettlementView:
    """Propose a settlement (a lead of the project); members decide at their agents."""
    return view(await use.settlements.open(caller, key, body.jobs, body.entered, body.replaces))


@settlements.get("/{key}", summary="Get a settlement")
async def get_settlement(key: Key, use: Use, caller: Caller) -> SettlementView:
    """Return a settlement with all figures, approvals, disputes and payments."""
    return view(await use.settlements.show(caller, key))


@settlements.post("/{key}/close", summary="Close a settlement")
@shown_as(view)
async def close_settlement(key: Key, use: Use, caller: Caller) -> SettlementView:
    """Close a settlement whose dispute window is over; it is owed from then on."""
    return view(await use.settlements.close(caller, key))


@settlements.get(
    "/{key}/statement",
    summary="Get the statement of a settlement",
    response_class=JSONResponse,
    response_model=dict[str, Any],
    responses=IN_FORMS,
)
async def get_settlement_statement(
    key: Key,
    use: Use,
    caller: Caller,
    wanted: Wanted,
    organisation: Annotated[Reference, Query(description="For whom; else the caller's own")] = "",
) -> Response:
    """Return an organisation's statement: as JSON, as one self-contained page, or as PDF."""
    found, own = await _for(use, caller, key, organisation)
    told = await asyncio.to_thread(statement, found, own)
    return await wanted.answer(told, _page, f"settlement-{key[:16]}-{own}")


@settlements.get(
    "/{key}/statement.csv",
    summary="Get the statement of a settlement as a table",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def get_settlement_table(
    key: Key,
    use: Use,
    caller: Caller,
    organisation: Annotated[Reference, Query(description="For whom; else the caller's own")] = "",
) -> Response:
    """Return an organisation's statement as CSV; no text in it is a formula to a spreadsheet."""
    found, own = await _for(use, caller, key, organisation)
    written = await asyncio.to_thread(table, found, own)
    name = f'attachment; filename="settlement-{key[:16]}-{own}.csv"'
    return Response(written, media_type="text/csv", headers={"Content-Disposition": name})


async def _for(use: Use, caller: Caller, key: str, organisation: str) -> tuple[Shown, str]:
    """Return a settlement, and the member for whom its statement is made."""
    found = await use.settlements.show(caller, key)
    members = found.agreement.agreement.keys
    wanted = organisation or caller.organisation
    return found, wanted if wanted in members else next(iter(members))


def _page(told: Mapping[str, Any], language: Language) -> str:
    from secureflow.application.reports.settlement import render  # loaded when a page is read

    return render(told, language)
