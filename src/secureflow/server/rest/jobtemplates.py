"""Templates of jobs: what most people begin with, filled in from granted datasets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from secureflow.domain.jobtemplates import Filled, JobTemplate
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute, changes_nothing
from secureflow.server.rest.languages import Spoken
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import Key, OptionalLine, Reference, RequestBody, Slug
from secureflow.texts import Language, told

router = router_of("jobs", OnceRoute, f"{PREFIX}/job-templates")


class FillRequest(RequestBody):
    """What a template is filled for."""

    project: Reference = Field(examples=["prj_01jf2k"])
    datasets: Annotated[list[Reference], Field(min_length=1, max_length=256)] = Field(
        description="One granted dataset of each organisation", examples=[["dst_01jf2k"]]
    )
    name: OptionalLine = Field("", description="Of the job; by default the template's")
    label: OptionalLine = Field("", description="The column to predict", examples=["income"])
    positive: OptionalLine = Field("", description="Which of its values is class 1")
    keys: dict[Slug, OptionalLine] = Field(
        {}, max_length=256, description="Organisation → the column by which rows are matched"
    )


def _told(one: JobTemplate, language: Language) -> JobTemplate:
    return replace(one, title=told(one.title, language), sentence=told(one.sentence, language))


@router.get("", summary="List the templates of jobs")
async def list_job_templates(use: Use, caller: Caller, language: Spoken) -> Sequence[JobTemplate]:
    """Return what each template is for."""
    return [_told(one, language) for one in use.job_templates.list(caller)]


@router.get("/{key}", summary="Get a template of jobs")
async def get_job_template(key: Key, use: Use, caller: Caller, language: Spoken) -> JobTemplate:
    """Return a template, and what it can be told beside the datasets."""
    return _told(use.job_templates.get(caller, key), language)


@router.post("/{key}/fill", summary="Fill a template of jobs")
@changes_nothing
async def fill_job_template(
    key: Key, body: FillRequest, use: Use, caller: Caller, language: Spoken
) -> Filled:
    """Return the request that a template makes of datasets, with comments; nothing is created."""
    made = await use.job_templates.fill(
        caller, key, body.project, body.datasets, name=body.name, label=body.label,
        positive=body.positive, keys=body.keys,
    )  # fmt: skip
    comments = {place: str(told(one, language)) for place, one in made.comments.items()}
    return replace(made, comments=comments)
