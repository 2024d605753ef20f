"""Dataset descriptions and grants."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from secureflow.domain.datasets import Dataset, Grant
from secureflow.domain.texts import ONE_LINE
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.routers import router_of
from secureflow.server.rest.shapes import (
    LIMIT,
    Cursor,
    Key,
    Limit,
    Line,
    Listed,
    Narrowed,
    Reference,
    RequestBody,
    decode_cursor,
    listed,
)

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=128), ONE_LINE]

router = router_of("datasets", OnceRoute)


class GrantRequest(RequestBody):
    """What a project may use. No purposes means any."""

    project: Reference = Field(examples=["prj_01jf2k"])
    columns: list[ColumnName] = Field(max_length=4096, examples=[["age", "income"]])
    purposes: list[Line] = Field([], max_length=100, examples=[["credit-scoring"]])
    expires: int = Field(ge=0, lt=1 << 53, description="Unix seconds", examples=[1_900_000_000])


@router.get("/datasets", summary="List datasets", response_model=Listed[Dataset])
async def list_datasets(
    use: Use,
    caller: Caller,
    narrowed: Narrowed,
    project: Reference = "",
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> object:
    """Return descriptions: the caller's own and those granted to its projects (or to one)."""
    page = await use.datasets.list(
        caller, project=project, narrowing=narrowed, cursor=decode_cursor(cursor), limit=limit
    )
    return listed(page)


@router.get("/datasets/{key}", summary="Get a dataset")
async def get_dataset(key: Key, use: Use, caller: Caller) -> Dataset:
    """Return a description; the rows never leave the owner's agent."""
    return await use.datasets.get(caller, key)


@router.delete("/datasets/{key}", summary="Withdraw a dataset", status_code=204)
async def delete_dataset(key: Key, use: Use, caller: Caller) -> None:
    """Withdraw a description of the caller's organisation; its grants end."""
    await use.datasets.remove(caller, key)


@router.post("/datasets/{key}/grants", summary="Grant a dataset to a project", status_code=201)
async def create_grant(key: Key, body: GrantRequest, use: Use, caller: Caller) -> Grant:
    """Let a project use columns of one of the caller's datasets for purposes until a time."""
    return await use.datasets.grant(
        caller,
        key,
        project=body.project,
        columns=body.columns,
        purposes=body.purposes,
        expires=body.expires,
    )


@router.get("/grants", summary="List grants", response_model=Listed[Grant])
async def list_grants(
    use: Use, caller: Caller, project: Reference = "", cursor: Cursor = "", limit: Limit = LIMIT
) -> object:
    """Return the grants of the caller's projects (or of one)."""
    page = await use.datasets.grants(
        caller, project=project, cursor=decode_cursor(cursor), limit=limit
    )
    return listed(page)


@router.delete("/grants/{key}", summary="Revoke a grant", status_code=204)
async def delete_grant(key: Key, use: Use, caller: Caller) -> None:
    """End a grant of the caller's organisation."""
    await use.datasets.revoke(caller, key)
