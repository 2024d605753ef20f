"""What members say they anchored at places that others keep."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from secureflow.domain.anchorstatements import AnchorRecord
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.paging import encode_cursor
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import Cursor, Limit, Listed, Reference, decode_cursor

router: APIRouter = router_of("anchors", OnceRoute, f"{PREFIX}/anchors")
PlaceName = Annotated[str, ONE_LINE, Query(max_length=220, description="Only of this place")]
JobId = Annotated[Reference, Query(description="Only of deeds about the job with this id")]


class AnchorStatement(BaseModel):
    """A member's signed statement that a place keeps a deed; the centre vouches for nothing."""

    organisation: str = Field(description="Whose statement it is", examples=["bank-a"])
    place: str = Field(description="Which place", examples=["evm:1337:0x5fbd…"])
    kind: str = Field(description="Of the deed; anchor is a head of the log", examples=["anchor"])
    size: int = Field(description="Entries under the head; 0 for other deeds")
    at: int = Field(description="Unix seconds when it was final there, by the member")
    statement: dict[str, Any] = Field(
        description="With the member's signature, the transaction and the receipt"
    )


@router.get("", summary="List anchors")
async def list_anchors(
    use: Use,
    caller: Caller,
    organisation: Reference = "",
    place: PlaceName = "",
    kind: Reference = "",
    job: JobId = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Listed[AnchorStatement]:
    """Return what members say they anchored, newest first."""
    page = await use.anchors.list(
        caller,
        organisation=organisation,
        place=place,
        kind=kind,
        job=job,
        cursor=decode_cursor(cursor),
        limit=limit,
    )
    items = [_shown(one) for one in page.items]
    return Listed(items=items, next=encode_cursor(page.next))


def _shown(one: AnchorRecord) -> AnchorStatement:
    parts = {name: getattr(one, name) for name in AnchorStatement.model_fields}
    return AnchorStatement(**parts)
