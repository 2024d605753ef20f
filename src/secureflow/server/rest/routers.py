"""Routers whose routes are complete: the app takes them as they are.

FastAPI inspects all signatures of an included router again, once when it is described and once at
the first request: two thirds of a second of a centre's start.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.routing import APIRoute

PREFIX: Final = "/api/v1"


def router_of(tag: str, route: type[APIRoute] = APIRoute, prefix: str = PREFIX) -> APIRouter:
    """Return a router for the endpoints of one tag; the description calls them by their names."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=route,
        generate_unique_id_function=lambda endpoint: endpoint.name,
    )
