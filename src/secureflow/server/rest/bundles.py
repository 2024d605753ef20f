"""Code bundles of projects."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from secureflow.domain.bundles import StoredBundle
from secureflow.engines.bundles import MAX_BYTES
from secureflow.kit.errors import SecureFlowError
from secureflow.server.rest.bodies import too_large
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.models import BINARY
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
_BYTES: Final[dict[str, Any]] = {
    "content": {BINARY: {"schema": {"type": "string", "format": "binary"}}}
}

router = APIRouter(prefix="/bundles", tags=["bundles"], route_class=OnceRoute)


@router.post(
    "",
    summary="Upload a code bundle",
    status_code=201,
    openapi_extra={"requestBody": {**_BYTES, "required": True}},
)
async def upload_bundle(
    request: Request,
    use: Use,
    caller: Caller,
    project: Reference,
    digest: Digest,
    name: OptionalLine = "",
) -> StoredBundle:
    """Keep a packed bundle for a project's jobs; the same one is kept once."""
    await use.bundles.admit(caller, project)
    packed = await _packed(request)
    return await use.bundles.upload(caller, project, packed, digest=digest, name=name)


@router.get("", summary="List code bundles", response_model=Listed[StoredBundle])
async def list_bundles(
    use: Use, caller: Caller, project: Reference = "", cursor: Cursor = "", limit: Limit = LIMIT
) -> object:
    """Return the bundles of the caller's projects, or of one project."""
    page = await use.bundles.list(
        caller, project=project, cursor=decode_cursor(cursor), limit=limit
    )
    return listed(page)


@router.get("/{key}", summary="Get a code bundle")
async def get_bundle_description(key: Key, use: Use, caller: Caller) -> StoredBundle:
    """Return who uploaded a bundle, and its sizes."""
    return await use.bundles.get(caller, key)


@router.get(
    "/{key}/content",
    summary="Download a code bundle",
    response_class=StreamingResponse,
    responses={200: _BYTES},
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


async def _packed(request: Request) -> bytes:
    """Return the body; refuse it as soon as it is too long."""
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > MAX_BYTES:
                raise too_large(MAX_BYTES)
            parts.append(part)
    except ClientDisconnect:
        raise SecureFlowError(
            "malformed_request", "The body ended before it was complete."
        ) from None
    return b"".join(parts)
