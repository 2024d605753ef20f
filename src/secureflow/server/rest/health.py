"""Liveness, readiness, metrics: for supervisors, without personal data.

Metrics are for this machine, or for callers with the configured token.
"""

from __future__ import annotations

import hmac
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from secureflow.engines.ledger.setback import set_back
from secureflow.kit.addresses import is_loopback
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.version import __version__
from secureflow.server.rest.callers import Use, bearer_of
from secureflow.server.rest.routers import router_of
from secureflow.server.settings import RestSettings

router = router_of("health", prefix="")
Parts = dict[str, bool | dict[str, Any]]


@router.get("/healthz", summary="Check liveness")
async def get_health() -> dict[str, str]:
    """Answer with the version, so that clients see early whether they are compatible."""
    return {"status": "ok", "version": __version__}


@router.get(
    "/readyz",
    summary="Check readiness",
    response_model=Parts,
    responses={503: {"description": "A part of the server does not work", "model": Parts}},
)
async def get_readiness(use: Use) -> Response:
    """Return which parts work; 503 if one does not.

    Also why a log is held, and whether the record's file was removed or replaced, or is damaged.
    """
    hold, record = use.ledger.hold, use.record()
    parts: Parts = {**await use.readiness(), "signing": hold is None}
    if hold is not None:
        parts["log_set_back"] = set_back(hold, use.ledger.origin).as_json()
    if record is not None:
        parts[record.code] = record.as_json()
    return JSONResponse(parts, 503 if hold or record or not all(parts.values()) else 200)


@router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
async def get_metrics(request: Request, use: Use) -> Response:
    """Return counts and sizes in Prometheus text format: to this machine, or with its token."""
    if not _may_scrape(request):
        raise SecureFlowError(
            "unauthenticated",
            "Metrics are only for this machine, or for callers with their token.",
            "Set SECUREFLOW_SERVER__REST__METRICS_TOKEN and send it as the bearer token.",
        )
    text = await use.metrics.render(use.begin, use.courier, use.ledger)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def _may_scrape(request: Request) -> bool:
    settings: RestSettings = request.app.state.settings
    if settings.metrics_token is not None:
        token = settings.metrics_token.get_secret_value()
        return hmac.compare_digest(bearer_of(request).encode(), token.encode())
    # Requests through a proxy on this machine come from elsewhere, whether it is listed or not.
    passed_on = {"forwarded", "x-forwarded-for", "x-real-ip", "via"} & set(request.headers)
    # A page that looks at this machine under a name of its own (DNS rebinding) is no scraper.
    page = request.headers.get("sec-fetch-site", "none") != "none" or "origin" in request.headers
    local = request.client is not None and is_loopback(request.client.host)
    return local and not passed_on and not page
