"""What happened in projects, what their parties received, and templates of projects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query

from secureflow.application.access import require
from secureflow.domain.projectrecord import ActivityPage, ReceivedPage
from secureflow.domain.projecttemplates import TEMPLATES, ProjectTemplate, template_of
from secureflow.kit.paging import encode_cursor
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.languages import Spoken
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import (
    LIMIT,
    Cursor,
    Key,
    Limit,
    OptionalLine,
    Reference,
    decode_cursor,
)
from secureflow.texts import told

router = router_of("projects", prefix=f"{PREFIX}/projects/{{key}}")
templates = router_of("projects", prefix=f"{PREFIX}/project-templates")


@router.get("/activity", summary="Get the activity of a project")
async def get_project_activity(
    key: Key,
    use: Use,
    caller: Caller,
    kind: OptionalLine = "",
    organisation: Reference = "",
    user: Reference = "",
    before: Annotated[int, Query(ge=0, le=1 << 53)] = 0,
    limit: Limit = LIMIT,
) -> ActivityPage:
    """Return who did what in the project by the ledger, newest first; go on with `next`."""
    return await use.project_record.activity(
        caller, key, kind=kind, organisation=organisation, user=user, before=before, limit=limit
    )


@router.get("/received", summary="Get what the parties of a project received")
async def get_project_received(
    key: Key,
    use: Use,
    caller: Caller,
    language: Spoken,
    party: Reference = "",
    cursor: Cursor = "",
) -> ReceivedPage:
    """Return what each party received in the project's jobs, and what cannot be known of it."""
    page = await use.project_record.received(caller, key, party=party, cursor=decode_cursor(cursor))
    unknown = tuple(told(one, language) for one in page.unknown)
    return ReceivedPage(page.items, encode_cursor(page.next), unknown)


@templates.get("", summary="List the templates of projects")
async def list_project_templates(caller: Caller) -> Sequence[ProjectTemplate]:
    """Return the templates that `create_project` takes."""
    require(caller, "project.read")
    return list(TEMPLATES.values())


@templates.get("/{key}", summary="Get a template of projects")
async def get_project_template(key: Key, caller: Caller) -> ProjectTemplate:
    """Return a template and its rules."""
    require(caller, "project.read")
    return template_of(key)
