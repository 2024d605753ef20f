"""Who calls, and what is behind the app: dependencies of the handlers."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from secureflow.application.access import Principal
from secureflow.server.services import Services

_bearer = HTTPBearer(
    auto_error=False, bearerFormat="sft_…", description="A token from POST /api/v1/login"
)


def services_of(request: Request) -> Services:
    """Return the use cases behind the app."""
    services: Services = request.app.state.services
    return services


async def caller_of(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """Return who calls; raises `unauthenticated` or `token_expired`."""
    text = credentials.credentials if credentials else ""
    return await services_of(request).tokens.authenticate(text)


def address_of(request: Request) -> str:
    """Return the address that a request comes from."""
    return request.client.host if request.client else "unknown"


Use = Annotated[Services, Depends(services_of)]
Caller = Annotated[Principal, Depends(caller_of)]
"""The authenticated caller; a handler that takes it cannot be reached without a valid token."""
