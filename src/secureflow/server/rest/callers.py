"""Who calls, and what is behind the app: dependencies of the handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from secureflow.application.access import Principal
from secureflow.kit.addresses import UNKNOWN, source_of
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.server.rest.rates import Rates
from secureflow.server.services import Services

BELONGS: Final = "belongs"
"""Where a request's state holds what counts its connection for a user (`Belongs`)."""
Belongs = Callable[[str], bool]
"""Counts the connection for this user; False where they have too many."""

_bearer = HTTPBearer(
    auto_error=False, bearerFormat="sft_…", description="A token from POST /api/v1/login"
)


def services_of(request: Request) -> Services:
    """Return the use cases behind the app."""
    services: Services = request.app.state.services
    return services


def rates_of(request: Request) -> Rates:
    """Return what paces callers."""
    rates: Rates = request.app.state.rates
    return rates


async def caller_of(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """Return who calls; raises `unauthenticated` or `token_expired`.

    A route that takes a body has asked before it read the body; that answer stands.
    """
    known: Principal | None = getattr(request.state, "caller", None)
    if known is None:
        known = await authenticate(request, credentials.credentials if credentials else "")
    return known


def token_of(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> str:
    """Return the bearer token that a request carries, valid or not, or nothing."""
    return credentials.credentials if credentials else ""


def bearer_of(request: Request) -> str:
    """Return the bearer token that a request carries, or nothing."""
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    return token if scheme.lower() == "bearer" else ""


async def authenticate(request: Request, token: str) -> Principal:
    """Return whose token this is; the connection and its requests count for them from now on.

    Raises:
        SecureFlowError: `unauthenticated`, `token_expired`, or `rate_limited` where the user has
            too many connections open.
    """
    try:
        caller = await services_of(request).tokens.authenticate(token)
    except InfrastructureError:
        raise  # nobody knows whether it is valid: it counts for whom it counted
    except SecureFlowError:
        rates_of(request).forget(token)
        raise
    recognise(request, token, caller.user)
    request.state.caller = caller
    return caller


def recognise(request: Request, token: str, user: str) -> None:
    """Count this connection, and what this token asks for, for the user.

    Raises:
        SecureFlowError: `rate_limited` where the user has too many connections open.
    """
    belongs: Belongs | None = getattr(request.state, BELONGS, None)
    if belongs is not None and not belongs(user):
        raise SecureFlowError(
            "rate_limited",
            "You have too many connections open.",
            "Close some: each waits for an answer or watches a job.",
        )
    rates_of(request).recognise(token, user, address_of(request))


def address_of(request: Request) -> str:
    """Return where a request comes from, as limits count it."""
    return source_of(request.client.host) if request.client else UNKNOWN


Use = Annotated[Services, Depends(services_of)]
Shown = Annotated[str, Depends(token_of)]
"""The token that a request carries: nobody has looked yet whether it is valid."""
Caller = Annotated[Principal, Depends(caller_of)]
"""The authenticated caller; a handler that takes it cannot be reached without a valid token."""
