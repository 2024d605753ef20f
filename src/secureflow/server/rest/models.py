"""Released models."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import StreamingResponse

from secureflow.application.lineage import Lineage
from secureflow.application.uploads import Weights
from secureflow.domain.models import KeptUpload, Model
from secureflow.server.rest.bodies import BINARY, BYTES, sent_parts
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute, body_in_query
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import (
    LIMIT,
    Cursor,
    Key,
    Limit,
    Listed,
    Narrowed,
    Reference,
    decode_cursor,
    listed,
)

Digest = Annotated[str, Query(pattern=r"^[0-9a-f]{64}$", description="BLAKE3 of the body, in hex")]
Layout = Annotated[
    str,
    Query(
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 over the tensors' names, shapes and dtypes, as in `initial.layout`",
    ),
]

router = router_of("models", OnceRoute, f"{PREFIX}/models")


@router.get("", summary="List models", response_model=Listed[Model])
async def list_models(
    use: Use,
    caller: Caller,
    narrowed: Narrowed,
    project: Reference = "",
    job: Reference = "",
    name: Reference = "",
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> object:
    """Return the models of the caller's projects, without their cards."""
    page = await use.models.list(
        caller,
        project=project,
        job=job,
        name=name,
        narrowing=narrowed,
        cursor=decode_cursor(cursor),
        limit=limit,
    )
    return listed(page)


@router.post(
    "/uploads",
    summary="Upload weights to start from",
    status_code=201,
    openapi_extra={"requestBody": {**BYTES, "required": True}},
)
@body_in_query
async def upload_model(
    use: Use, caller: Caller, request: Request, project: Reference, digest: Digest, layout: Layout
) -> KeptUpload:
    """Keep raw little-endian float32 values, which jobs of the project may name as `initial`.

    The request must have a `Content-Length`. The same weights are kept once.
    """
    length = request.headers.get("content-length", "")
    size = int(length[:20]) if length.isdecimal() else 0
    weights = Weights(digest, layout, size)
    return await use.uploads.upload(caller, project, weights, sent_parts(request, caller))


@router.get("/uploads", summary="List uploaded weights", response_model=Listed[KeptUpload])
async def list_uploads(
    use: Use, caller: Caller, project: Reference = "", cursor: Cursor = "", limit: Limit = LIMIT
) -> object:
    """Return the uploads of the caller's projects, or of one project."""
    page = await use.uploads.list(
        caller, project=project, cursor=decode_cursor(cursor), limit=limit
    )
    return listed(page)


@router.delete("/uploads/{key}", summary="Remove uploaded weights", status_code=204)
async def delete_upload(key: Key, use: Use, caller: Caller) -> None:
    """Remove weights that no unfinished job names."""
    await use.uploads.remove(caller, key)


@router.get("/{key}", summary="Get a model")
async def get_model(key: Key, use: Use, caller: Caller) -> Model:
    """Return a model's version, metrics, digest and lineage."""
    return await use.models.get(caller, key)


@router.get(
    "/{key}/content",
    summary="Download a model",
    response_class=StreamingResponse,
    responses={200: BYTES},
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


@router.get("/{key}/lineage", summary="Get a model's lineage")
async def get_model_lineage(key: Key, use: Use, caller: Caller) -> Lineage:
    """Return where the model comes from and what was done with it, as nodes and edges.

    An edge goes from what came first; `evaluations` are its figures, by whom they were measured.
    """
    return await use.lineages.of(caller, key)


@router.get("/{key}/card", summary="Get a model's card")
async def get_model_card(key: Key, use: Use, caller: Caller) -> dict[str, Any]:
    """Return the model card: how and from what it was made, and its metrics."""
    return await use.models.card(caller, key)
