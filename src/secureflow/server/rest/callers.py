"""The caller and the use cases, as dependencies of the handlers.

Every dependency is a coroutine function: FastAPI runs a plain one in a thread, for each request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from secureflow.application.access import Principal
from secureflow.application.sessions import unauthenticated
from secureflow.kit.addresses import UNKNOWN, source_of
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.server.rest.cookies import SAFE, cookie_name, from_own_page, session_of
from secureflow.server.rest.rates import Rates
from secureflow.server.services import Services

BELONGS: Final = "belongs"
"""Key in a request's state: the function that counts its connection for a user (`Belongs`)."""
Belongs = Callable[[str], bool]
"""Counts the connection for this user; False if they have too many."""

_PROGRAMS: Final = (
    ("secureflow/", "secureflow"),
    ("edg/", "edge"),
    ("firefox/", "firefox"),
    ("chrome/", "chrome"),
    ("safari/", "safari"),
    ("curl/", "curl"),
    ("python", "python"),
)
"""What a user agent says that is of a kind: the first that it contains."""

_bearer = HTTPBearer(
    auto_error=False, bearerFormat="sft_…", description="A token from POST /api/v1/login"
)
_cookie = APIKeyCookie(
    name=cookie_name(),
    auto_error=False,
    description="A session from POST /api/v1/session; under a path prefix the name begins with "
    "`__Secure-`. Requests that change something must come from a page of this service.",
)


def services_of(request: Request) -> Services:
    """Return the use cases behind the app."""
    services: Services = request.app.state.services
    return services


async def _use(request: Request) -> Services:
    return services_of(request)


def rates_of(request: Request) -> Rates:
    """Return the rate limits of callers."""
    rates: Rates = request.app.state.rates
    return rates


async def caller_of(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> Principal:
    """Return the caller; raises as `authenticate`.

    A route with a body has done so before it read the body; the result is kept.
    """
    del credentials, cookie  # for the API's description
    known: Principal | None = getattr(request.state, "caller", None)
    return await authenticate(request) if known is None else known


async def token_of(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> str:
    """Return the bearer token that a request carries, valid or not, or ""."""
    return credentials.credentials if credentials else ""


def bearer_of(request: Request) -> str:
    """Return the bearer token that a request carries, or ""."""
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    return token if scheme.lower() == "bearer" else ""


async def shown_session(request: Request, cookie: Annotated[str | None, Depends(_cookie)]) -> str:
    """Return the session that the cookie of an own page holds, valid or not.

    Raises:
        SecureFlowError: `unauthenticated` without one; `cross_site_request`.
    """
    del cookie
    text = session_of(request)
    if not text:
        raise unauthenticated()
    from_own_page(request)
    return text


async def authenticate(request: Request) -> Principal:
    """Return the user of the request's token or session cookie.

    The connection and its requests count for them from now on. A request with a cookie that writes
    must come from an own page, also if it carries a token.

    Raises:
        SecureFlowError: `unauthenticated`, `token_expired`, `session_expired`;
            `cross_site_request`; `two_identities` for a token of one user with a session of
            another; `rate_limited` if the user has too many open connections.
    """
    token, session = bearer_of(request), session_of(request)
    if session and request.method not in SAFE:
        from_own_page(request)
    use = services_of(request)
    if not session:
        caller = await _recognised(request, token, use.tokens.authenticate)
    elif not token:
        caller = await _recognised(request, session, use.sessions.authenticate)
    else:
        caller = await _recognised(request, token, use.tokens.authenticate)
        if (await _recognised(request, session, use.sessions.authenticate)).user != caller.user:
            raise SecureFlowError(
                "two_identities",
                "The request carries one user's token and another user's session.",
                "Log out in the browser, or send only one of the two.",
            )
    request.state.caller = caller
    return caller


async def lets_in(request: Request, caller: Principal) -> bool:
    """Tell whether the caller's token or session is still valid."""
    use = services_of(request)
    return await (use.sessions if caller.session else use.tokens).holds(caller)


async def _recognised(
    request: Request, token: str, who: Callable[[str], Awaitable[Principal]]
) -> Principal:
    try:
        caller = await who(token)
    except InfrastructureError:
        raise  # its validity is unknown: it counts as before
    except SecureFlowError:
        rates_of(request).forget(token)
        raise
    recognise(request, token, caller.user)
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


def client_of(request: Request) -> str:
    """Return the kind of program that a request says it comes from, without its version."""
    said = request.headers.get("user-agent", "")[:1000].lower()
    return next((kind for mark, kind in _PROGRAMS if mark in said), "other")


Use = Annotated[Services, Depends(_use)]
Shown = Annotated[str, Depends(token_of)]
"""The token that a request carries, not verified yet."""
ShownSession = Annotated[str, Depends(shown_session)]
"""The session in the cookie of a request from an own page, not verified yet."""
Caller = Annotated[Principal, Depends(caller_of)]
"""The authenticated caller; a handler that takes it requires a valid token or session."""
