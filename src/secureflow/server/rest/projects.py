"""Projects, their members, and their life cycle."""

from __future__ import annotations

from pydantic import Field

from secureflow.domain.projects import Project
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import (
    LIMIT,
    Cursor,
    Key,
    Limit,
    Line,
    Listed,
    OptionalLine,
    Paragraph,
    RequestBody,
    Slug,
    decode_cursor,
    listed,
)

router = router_of("projects", OnceRoute, f"{PREFIX}/projects")
LATEST = 1 << 40
"""The last end date that is taken, in unix seconds."""


class ProjectRequest(RequestBody):
    """A new project and the purpose that its members share."""

    name: Line = Field(examples=["Credit risk"])
    purpose: Line = Field(examples=["credit-scoring"])
    description: Paragraph = ""
    ends: int | None = Field(
        None, ge=1, le=LATEST, description="The end date in unix seconds: no job runs after it"
    )
    restricted: bool = Field(
        False, description="Only people with a role in the project see its work and take part"
    )
    template: OptionalLine = Field("", examples=["credit-risk"])


class ProjectChange(RequestBody):
    """What to change; fields that are absent stay as they are. The purpose never changes."""

    name: Line | None = None
    description: Paragraph | None = None
    ends: int | None = Field(
        None, ge=0, le=LATEST, description="The end date in unix seconds; 0 removes it"
    )
    restricted: bool | None = None


class FreezeRequest(RequestBody):
    """Why the project is frozen, for its members."""

    reason: OptionalLine = Field("", examples=["A review by the ethics board"])


class MemberRequest(RequestBody):
    """The organisation to invite."""

    organisation: Slug = Field(examples=["bank-b"])


@router.get("", summary="List projects", response_model=Listed[Project])
async def list_projects(
    use: Use, caller: Caller, cursor: Cursor = "", limit: Limit = LIMIT
) -> object:
    """Return the projects of which the caller's organisation is a member or invited."""
    return listed(await use.projects.list(caller, cursor=decode_cursor(cursor), limit=limit))


@router.post("", summary="Create a project", status_code=201)
async def create_project(body: ProjectRequest, use: Use, caller: Caller) -> Project:
    """Create a project; the caller's organisation is its first member."""
    return await use.projects.create(
        caller,
        name=body.name,
        purpose=body.purpose,
        description=body.description,
        ends=body.ends,
        restricted=body.restricted,
        template=body.template,
    )


@router.get("/{key}", summary="Get a project")
async def get_project(key: Key, use: Use, caller: Caller) -> Project:
    """Return a project."""
    return await use.projects.get(caller, key)


@router.patch("/{key}", summary="Change a project")
async def change_project(key: Key, body: ProjectChange, use: Use, caller: Caller) -> Project:
    """Change a project's name, description or end date, or who sees its work (the founder)."""
    return await use.project_states.change(
        caller,
        key,
        name=body.name,
        description=body.description,
        ends=body.ends,
        restricted=body.restricted,
    )


@router.post("/{key}/freeze", summary="Freeze a project")
async def freeze_project(key: Key, body: FreezeRequest, use: Use, caller: Caller) -> Project:
    """Let no job run in the project until it is thawed; its unfinished jobs are cancelled."""
    return await use.project_states.freeze(caller, key, body.reason)


@router.post("/{key}/thaw", summary="Thaw a project")
async def thaw_project(key: Key, use: Use, caller: Caller) -> Project:
    """Let jobs run in the project again."""
    return await use.project_states.thaw(caller, key)


@router.post("/{key}/archive", summary="Archive a project")
async def archive_project(key: Key, use: Use, caller: Caller) -> Project:
    """Close the project for good: it stays readable; its grants and unfinished jobs end."""
    return await use.project_states.archive(caller, key)


@router.post("/{key}/members", summary="Invite an organisation", status_code=201)
async def invite_member(key: Key, body: MemberRequest, use: Use, caller: Caller) -> Project:
    """Invite an organisation (the founder); it is a member once it accepts."""
    return await use.projects.invite(caller, key, body.organisation)


@router.post("/{key}/accept", summary="Accept an invitation")
async def accept_invitation(key: Key, use: Use, caller: Caller) -> Project:
    """Accept the invitation of the caller's organisation."""
    return await use.projects.accept(caller, key)


@router.post("/{key}/leave", summary="Leave a project")
async def leave_project(key: Key, use: Use, caller: Caller) -> Project:
    """Leave a project or decline its invitation; its grants and jobs in the project end."""
    return await use.projects.leave(caller, key)
