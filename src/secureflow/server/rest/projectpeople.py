"""The people of projects and their roles."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from secureflow.domain.projects import NamedPerson, Project, ProjectRole
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import Key, Reference, RequestBody

router = router_of("projects", OnceRoute, f"{PREFIX}/projects/{{key}}/people")


class PersonRequest(RequestBody):
    """A person of the caller's organisation, and all their roles in the project."""

    user: Reference = Field(examples=["usr_01jf2k"])
    roles: list[ProjectRole] = Field(min_length=1, max_length=8, examples=[["scientist"]])


@router.get("", summary="List the people of a project")
async def list_project_people(key: Key, use: Use, caller: Caller) -> Sequence[NamedPerson]:
    """Return who has which roles in the project."""
    return await use.project_people.list(caller, key)


@router.post("", summary="Give a person roles in a project")
async def set_project_person(key: Key, body: PersonRequest, use: Use, caller: Caller) -> Project:
    """Give a person of the caller's organisation exactly these roles in the project."""
    return await use.project_people.set(caller, key, body.user, body.roles)


@router.delete("/{user}", summary="Remove a person from a project")
async def remove_project_person(key: Key, user: Key, use: Use, caller: Caller) -> Project:
    """Take a person of the caller's organisation all roles in the project."""
    return await use.project_people.remove(caller, key, user)
