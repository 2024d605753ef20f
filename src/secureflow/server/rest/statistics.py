"""Statistics jobs: dry run and submission. Everything afterwards is as with any job."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from secureflow.application.jobs.kind import Wanted
from secureflow.application.jobs.submission import Submission
from secureflow.domain.jobs import Job
from secureflow.domain.noise import NoiseWish
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.statistics import StatisticsLimits, StatisticsQuery
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute, changes_nothing
from secureflow.server.rest.shapes import Asked, Line, Reference

router = APIRouter(prefix="/jobs/statistics", tags=["jobs"], route_class=OnceRoute)


class StatisticsRequest(Asked):
    """Questions to several owners' data. Bounds, categories, unit and contributions are theirs."""

    project: Reference = Field(examples=["prj_01jf2k"])
    name: Line = Field(examples=["ages"])
    purpose: Line = Field(examples=["credit-scoring"])
    datasets: list[Reference] = Field(
        max_length=256, description="One dataset of each contributor", examples=[["dst_01jf2k"]]
    )
    queries: list[StatisticsQuery] = Field(
        min_length=1,
        max_length=256,
        examples=[[{"name": "mean-age", "measure": "mean", "column": "age", "by": "sex"}]],
    )
    privacy: NoiseWish = Field(examples=[{"epsilon": 1.0, "delta": 1e-6}])
    limits: StatisticsLimits | None = None
    min_contributors: int | None = Field(None, ge=1, le=256)

    def wanted(self) -> Wanted:
        """Return the wish in the application's form."""
        parts: dict[str, Any] = {
            "queries": [dump(query) for query in self.queries],
            "privacy": dump(self.privacy),
            "limits": dump(self.limits) if self.limits else None,
            "min_contributors": self.min_contributors,
        }
        datasets = tuple(self.datasets)
        return Wanted(self.project, self.name, self.purpose, datasets, parts, kind="statistics")


@router.post("", summary="Submit a statistics job", status_code=201)
async def submit_statistics(body: StatisticsRequest, use: Use, caller: Caller) -> Job:
    """Ask the owners' agents for noised sums; the report has answers with intervals."""
    return await use.jobs.submit(caller, body.wanted())


@router.post("/dry-run", summary="Check a statistics job")
@changes_nothing
async def dry_run_statistics(body: StatisticsRequest, use: Use, caller: Caller) -> Submission:
    """Return the spec, ε, the noise multiplier and how wide answers will be; nothing is made."""
    return await use.jobs.rehearse(caller, body.wanted())
