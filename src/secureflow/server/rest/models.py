"""Released models."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from secureflow.domain.models import Model
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.shapes import (
    LIMIT,
    Cursor,
    Key,
    Limit,
    Listed,
    Reference,
    decode_cursor,
    listed,
)

BINARY = "application/octet-stream"

router = APIRouter(prefix="/models", tags=["models"], route_class=OnceRoute)


@router.get("", summary="List models", response_model=Listed[Model])
async def list_models(
    use: Use,
    caller: Caller,
    project: Reference = "",
    job: Reference = "",
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> object:
    """Return the models of the caller's projects (of one project or job), without their cards."""
    page = await use.models.list(
        caller, project=project, job=job, cursor=decode_cursor(cursor), limit=limit
    )
    return listed(page)


@router.get("/{key}", summary="Get a model")
async def get_model(key: Key, use: Use, caller: Caller) -> Model:
    """Return a model's version, metrics, digest and lineage."""
    return await use.models.get(caller, key)


@router.get(
    "/{key}/content",
    summary="Download a model",
    response_class=StreamingResponse,
    responses={200: {"content": {BINARY: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def get_model_content(key: Key, use: Use, caller: Caller) -> StreamingResponse:
    """Return the parameters as safetensors; the data after its header has the model's digest."""
    model, size, stream = await use.models.content(caller, key)
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": f'attachment; filename="{model.id}.safetensors"',
        "ETag": f'"{model.digest}"',
    }
    return StreamingResponse(stream, media_type=BINARY, headers=headers)


@router.get("/{key}/card", summary="Get a model's card")
async def get_model_card(key: Key, use: Use, caller: Caller) -> dict[str, Any]:
    """Return the model card: how and from what it was made, and its metrics."""
    return await use.models.card(caller, key)
