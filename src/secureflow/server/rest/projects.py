"""Projects and their members."""

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
    Paragraph,
    RequestBody,
    Slug,
    decode_cursor,
    listed,
)

router = router_of("projects", OnceRoute, f"{PREFIX}/projects")


class ProjectRequest(RequestBody):
    """A new project and the purpose that its members share."""

    name: Line = Field(examples=["Credit risk"])
    purpose: Line = Field(examples=["credit-scoring"])
    description: Paragraph = ""


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
        caller, name=body.name, purpose=body.purpose, description=body.description
    )


@router.get("/{key}", summary="Get a project")
async def get_project(key: Key, use: Use, caller: Caller) -> Project:
    """Return a project."""
    return await use.projects.get(caller, key)


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
    """Leave a project or decline its invitation; the organisation's grants to it end."""
    return await use.projects.leave(caller, key)
