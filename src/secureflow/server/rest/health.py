"""Liveness, readiness, metrics: for supervisors, without a token, saying nothing of anybody."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from secureflow.kit.version import __version__
from secureflow.server.rest.callers import Use

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive")
async def get_health() -> dict[str, str]:
    """Answer at all, with the version: clients see early that they do not fit."""
    return {"status": "ok", "version": __version__}


@router.get(
    "/readyz",
    summary="Can the server work",
    response_model=dict[str, bool],
    responses={503: {"description": "A part does not work", "model": dict[str, bool]}},
)
async def get_readiness(use: Use) -> Response:
    """Return which parts work; 503 when one does not."""
    parts = dict(await use.readiness())
    return JSONResponse(parts, 200 if all(parts.values()) else 503)


@router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
async def get_metrics(use: Use) -> Response:
    """Return counts and sizes in Prometheus text format."""
    text = await use.metrics.render(use.begin, use.courier, use.ledger)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
