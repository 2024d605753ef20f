"""The ledger: head, entries, proofs, bundles."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field

from secureflow.application.restored import restore_times
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.paging import encode_cursor
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import (
    Cursor,
    Limit,
    Listed,
    Reference,
    WithAnchors,
    decode_cursor,
)

Number = Annotated[int, Query(ge=0, lt=1 << 53)]

router = router_of("audit", OnceRoute, f"{PREFIX}/audit")


class Head(BaseModel):
    """The newest signed checkpoint (C2SP note) with its cosignatures.

    `held` is the reason why the log signs nothing now: it was rolled back, or restored. `restored`
    says when the centre was restored from a backup, and when that was made: anything revoked,
    disabled or withdrawn in between is in force again until someone repeats it.
    """

    note: str
    origin: str
    key: str
    size: int
    held: dict[str, Any] | None = None
    restored: dict[str, Any] | None = None


class Entry(BaseModel):
    """A log entry. Parts that the caller may not see are absent; the hash is always there."""

    index: int
    hash: str
    kind: str | None = None
    author: str | None = None
    job: str | None = None
    at: int | None = None
    leaf: dict[str, Any] | None = None
    document: Any = None
    salt: str | None = None


class Inclusion(BaseModel):
    """An inclusion proof (RFC 9162, 2.1.3), hex hashes."""

    index: int
    size: int
    proof: list[str]


class Consistency(BaseModel):
    """A consistency proof (RFC 9162, 2.1.4), hex hashes."""

    start: int = Field(serialization_alias="from", validation_alias="from")
    to: int
    proof: list[str]


@router.get("/head", summary="Get the log's head")
async def get_head(use: Use, caller: Caller) -> Head:
    """Return the newest signed checkpoint."""
    head = await use.audit.head(caller)
    why = await use.guard.hold_error()
    restored = await restore_times(use.begin)
    return Head(**head, held=why and why.as_json(), restored=restored)


@router.get(
    "/entries",
    summary="List log entries",
    response_model=Listed[Entry],
    response_model_exclude_none=True,
)
async def list_entries(
    use: Use,
    caller: Caller,
    start: Number = 0,
    limit: Limit = 100,
    job: Reference = "",
    cursor: Cursor = "",
) -> object:
    """Return entries in order from an index on, optionally of one job."""
    first = max(start, _index(decode_cursor(cursor)))
    entries = await use.audit.entries(caller, start=first, limit=limit, job=job)
    more = str(entries[-1]["index"] + 1) if len(entries) == limit else ""
    return {"items": list(entries), "next": encode_cursor(more)}


@router.get("/inclusion", summary="Prove inclusion")
async def get_inclusion(use: Use, caller: Caller, index: Number, size: Number) -> Inclusion:
    """Return the proof that an entry is in the tree of this size."""
    return Inclusion(**await use.audit.inclusion(caller, index, size))


@router.get("/consistency", summary="Prove consistency")
async def get_consistency(use: Use, caller: Caller, old: Number, new: Number) -> Consistency:
    """Return the proof that the old tree is a prefix of the new one."""
    return Consistency(**await use.audit.consistency(caller, old, new))


@router.get("/bundle", summary="Get a job's audit bundle")
async def get_bundle(
    use: Use, caller: Caller, job: Reference, anchors: WithAnchors = True
) -> dict[str, Any]:
    """Return what `secureflow audit verify` checks offline."""
    return await use.audit.bundle(caller, job, anchors=anchors)


def _index(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise SecureFlowError("invalid_cursor", "The cursor is not one of this list.")
    return int(text)
