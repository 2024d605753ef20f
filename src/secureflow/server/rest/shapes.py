"""Types that many handlers share: texts, ids, pages."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from secureflow.application.listing import Narrowing
from secureflow.application.ports.storage import Page
from secureflow.domain.texts import ONE_LINE, SEVERAL_LINES
from secureflow.kit.paging import DEFAULT_LIMIT, MAX_CURSOR, MAX_LIMIT, decode_cursor, encode_cursor
from secureflow.kit.plain import shown

T = TypeVar("T")

Line = Annotated[str, StringConstraints(min_length=1, max_length=200), ONE_LINE]
OptionalLine = Annotated[str, StringConstraints(max_length=200), ONE_LINE]
Paragraph = Annotated[str, StringConstraints(max_length=4000), SEVERAL_LINES]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Reference = Annotated[str, StringConstraints(max_length=128), ONE_LINE]
Key = Annotated[
    str, ONE_LINE, Path(max_length=512, description="The object's id", examples=["job_01jf2k"])
]
Cursor = Annotated[
    str, Query(max_length=MAX_CURSOR, description="`next` of the previous page; empty at first")
]
Limit = Annotated[
    int, Query(ge=1, le=MAX_LIMIT, description="The maximum number of items on a page")
]
WithAnchors = Annotated[
    bool, Query(description="With what members say they anchored; older verifiers refuse that part")
]
LIMIT = DEFAULT_LIMIT


async def narrowing_of(
    text: Annotated[
        str, ONE_LINE, Query(max_length=100, description="Words that all must occur")
    ] = "",
    since: Annotated[
        int, Query(ge=0, lt=1 << 53, description="Created then or later: unix seconds; 0: any")
    ] = 0,
    until: Annotated[
        int, Query(ge=0, lt=1 << 53, description="Created before then: unix seconds; 0: any")
    ] = 0,
    newest: Annotated[bool, Query(description="The newest first; else the oldest")] = False,
) -> Narrowing:
    """Return how a request narrows and sorts a list (a dependency)."""
    return Narrowing(text, since, until, newest)


Narrowed = Annotated[Narrowing, Depends(narrowing_of)]
"""How a list is narrowed by words and time of creation, and sorted."""


class RequestBody(BaseModel):
    """A request body: unknown fields are refused, so that typos are not ignored."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Listed(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next: str = Field("", description="Pass as `cursor` for the next page; empty at the end")
    damaged: list[str] = Field(
        [], description="Ids of stored items that cannot be read: the operator repairs them"
    )


def listed(page: Page) -> dict[str, Any]:
    """Return a page with its cursor made opaque."""
    damaged = [shown(key) for key in page.damaged]
    return {"items": page.items, "next": encode_cursor(page.next), "damaged": damaged}


__all__ = [
    "LIMIT",
    "Cursor",
    "Key",
    "Limit",
    "Line",
    "Listed",
    "Narrowed",
    "OptionalLine",
    "Paragraph",
    "Reference",
    "RequestBody",
    "Slug",
    "WithAnchors",
    "decode_cursor",
    "listed",
]
