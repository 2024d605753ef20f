"""The caller and the use cases, as dependencies of the handlers."""

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
"""Key in a request's state: the function that counts its connection for a user (`Belongs`)."""
Belongs = Callable[[str], bool]
"""Counts the connection for this user; False if they have too many."""

_bearer = HTTPBearer(
    auto_error=False, bearerFormat="sft_…", description="A token from POST /api/v1/login"
)


def services_of(request: Request) -> Services:
    """Return the use cases behind the app."""
    services: Services = request.app.state.services
    return services


def rates_of(request: Request) -> Rates:
    """Return the rate limits of callers."""
    rates: Rates = request.app.state.rates
    return rates


async def caller_of(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """Return the caller; raises `unauthenticated` or `token_expired`.

    A route with a body has done so before it read the body; the result is kept.
    """
    known: Principal | None = getattr(request.state, "caller", None)
    if known is None:
        known = await authenticate(request, credentials.credentials if credentials else "")
    return known


def token_of(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> str:
    """Return the bearer token that a request carries, valid or not, or ""."""
    return credentials.credentials if credentials else ""


def bearer_of(request: Request) -> str:
    """Return the bearer token that a request carries, or ""."""
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    return token if scheme.lower() == "bearer" else ""


async def authenticate(request: Request, token: str) -> Principal:
    """Return the token's user, for whom the connection and its requests count from now on.

    Raises:
        SecureFlowError: `unauthenticated`, `token_expired`, or `rate_limited` if the user has too
            many open connections.
    """
    try:
        caller = await services_of(request).tokens.authenticate(token)
    except InfrastructureError:
        raise  # its validity is unknown: it counts as before
    except SecureFlowError:
        rates_of(request).forget(token)
        raise
    recognise(request, token, caller.user)
    request.state.caller = caller
    return caller


def recognise(request: Request, token: str, user: str) -> None:
    """Count this connection, and requests with this token, for the user.

    Raises:
        SecureFlowError: `rate_limited` if the user has too many open connections.
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
    """Return the source address of a request, as counted by limits."""
    return source_of(request.client.host) if request.client else UNKNOWN


Use = Annotated[Services, Depends(services_of)]
Shown = Annotated[str, Depends(token_of)]
"""The token that a request carries, not verified yet."""
Caller = Annotated[Principal, Depends(caller_of)]
"""The authenticated caller; a handler that takes it requires a valid token."""
