"""The cookie of a browser session, and which pages may use it.

The cookie is HttpOnly (scripts cannot read it), Secure, and SameSite=Strict (other sites' pages do
not send it). Where the service has a host to itself its name begins with `__Host-`, which browsers
take from that very host only; under a path prefix it is `__Secure-`, for that path (RFC 6265bis,
4.1.3). SameSite takes a neighbouring subdomain for the same site, so a request that writes must
also come from a page of this very origin, as the browser says in Sec-Fetch-Site and Origin (OWASP,
Cross-Site Request Forgery Prevention: Fetch Metadata, verifying origin). One that says neither is
no browser's, and is refused: programs show a bearer token, which no page sends by itself.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request, Response
from starlette.datastructures import Headers

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.ownpages import SAFE_METHODS, from_same_origin, single_cookie
from secureflow.server.settings import RestSettings

SAFE: Final = SAFE_METHODS
LONGEST: Final = 128
"""Longer values are no session's."""


def cookie_name(prefix: str = "") -> str:
    """Return the cookie's name under a path prefix."""
    return "__Secure-secureflow" if prefix else "__Host-secureflow"


def cookie_of(headers: Headers, prefix: str) -> str:
    """Return the session that a request's cookie holds, valid or not, or "".

    Two different ones are none: a neighbouring subdomain may have added one (cookie tossing), and
    browsers do not say which is whose.
    """
    return single_cookie(headers.getlist("cookie"), cookie_name(prefix), LONGEST)


def session_of(request: Request) -> str:
    """Return the session that a request's cookie holds, valid or not, or ""."""
    return cookie_of(request.headers, settings_of(request).prefix)


def settings_of(request: Request) -> RestSettings:
    """Return the API's settings."""
    settings: RestSettings = request.app.state.settings
    return settings


def put_session(request: Request, response: Response, text: str) -> None:
    """Give the browser its session; without a lifetime there, because the centre ends it."""
    prefix = settings_of(request).prefix
    response.set_cookie(
        *(cookie_name(prefix), text),
        path=prefix or "/",
        secure=True,
        httponly=True,
        samesite="strict",
    )


def clear_session(request: Request, response: Response) -> None:
    """Have the browser forget its session."""
    prefix = settings_of(request).prefix
    response.delete_cookie(
        cookie_name(prefix), path=prefix or "/", secure=True, httponly=True, samesite="strict"
    )


def from_own_page(request: Request) -> None:
    """Refuse a request that does not come from a page of this very origin.

    Raises:
        SecureFlowError: `cross_site_request`.
    """
    sites, origins = (request.headers.getlist(name) for name in ("sec-fetch-site", "origin"))
    if not from_same_origin(sites, origins, _own_origins(request)):
        raise SecureFlowError(
            "cross_site_request",
            "The request does not come from a page of this service.",
            "Use the service's own pages; programs show a bearer token instead of a cookie. Behind "
            "a proxy that changes Host, the operator lists the address in rest.origins.",
        )


async def of_own_page(request: Request) -> None:
    """Refuse as `from_own_page`, as a dependency."""
    from_own_page(request)


def _own_origins(request: Request) -> set[str]:
    """Return the origins of own pages: as configured, else the host that was asked."""
    configured = settings_of(request).origins
    if configured:
        return {one.lower() for one in configured}
    host = request.headers.get("host", "").lower()
    return {f"https://{host}", f"https://{host.removesuffix(':443')}"} if host else set()
