"""Code bundles of projects."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import StreamingResponse

from secureflow.domain.bundles import KeptBundle
from secureflow.engines.bundles import MAX_BYTES
from secureflow.server.rest.bodies import BINARY, BYTES, check_sender, read_body
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute, body_in_query
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import (
    LIMIT,
    Cursor,
    Key,
    Limit,
    Listed,
    OptionalLine,
    Reference,
    decode_cursor,
    listed,
)

Digest = Annotated[str, Query(pattern=r"^[0-9a-f]{64}$", description="BLAKE3 of the packing")]

router = router_of("bundles", OnceRoute, f"{PREFIX}/bundles")


@router.post(
    "",
    summary="Upload a code bundle",
    status_code=201,
    openapi_extra={"requestBody": {**BYTES, "required": True}},
)
@body_in_query
async def upload_bundle(
    request: Request,
    use: Use,
    caller: Caller,
    project: Reference,
    digest: Digest,
    name: OptionalLine = "",
) -> KeptBundle:
    """Keep a packed bundle for a project's jobs; the same one is kept once."""
    async with use.bundles.admitted(caller, project, digest):
        packed = await read_body(request, MAX_BYTES)
        await check_sender(request, caller)
        return await use.bundles.upload(caller, project, packed, digest=digest, name=name)


@router.get("", summary="List code bundles", response_model=Listed[KeptBundle])
async def list_bundles(
    use: Use, caller: Caller, project: Reference = "", cursor: Cursor = "", limit: Limit = LIMIT
) -> object:
    """Return the bundles of the caller's projects, or of one project."""
    page = await use.bundles.list(
        caller, project=project, cursor=decode_cursor(cursor), limit=limit
    )
    return listed(page)


@router.delete("/{key}", summary="Remove a code bundle", status_code=204)
async def delete_bundle(key: Key, use: Use, caller: Caller, project: Reference = "") -> None:
    """Remove a bundle that no unfinished job names, from all projects or from one."""
    await use.bundles.remove(caller, key, project=project)


@router.get("/{key}", summary="Get a code bundle")
async def get_bundle_description(key: Key, use: Use, caller: Caller) -> KeptBundle:
    """Return who uploaded a bundle, and its sizes."""
    return await use.bundles.get(caller, key)


@router.get(
    "/{key}/content",
    summary="Download a code bundle",
    response_class=StreamingResponse,
    responses={200: BYTES},
)
async def get_bundle_content(key: Key, use: Use, caller: Caller) -> StreamingResponse:
    """Return the packing; its BLAKE3 is the digest."""
    stored, stream = await use.bundles.content(caller, key)
    headers = {
        "Content-Length": str(stored.size),
        "Content-Disposition": f'attachment; filename="{stored.digest[:16]}.bundle"',
        "ETag": f'"{stored.digest}"',
    }
    return StreamingResponse(stream, media_type=BINARY, headers=headers)
