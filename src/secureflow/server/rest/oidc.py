"""Login at identity providers, and the identities of accounts.

The way back from a provider is a navigation that another site began, so the browser sends no cookie
of a session (SameSite=Strict). A page of this site stands between: it leads to the same address
once more, now from this very site, and the session that the browser had before ends with the login.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup
from pydantic import BaseModel, Field, StringConstraints

from secureflow.application.oidc import Callback, Started
from secureflow.application.ports.storage import Page
from secureflow.domain.oidc import MAX_NEXT, PENDING_SECONDS, Identity
from secureflow.domain.texts import ONE_LINE
from secureflow.server.rest.bodies import StrictRoute
from secureflow.server.rest.callers import Caller, Use, address_of, client_of
from secureflow.server.rest.cookies import put_session, session_of, settings_of
from secureflow.server.rest.errorpages import NavigatedRoute
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.routers import router_of
from secureflow.server.rest.shapes import Key, Listed, RequestBody, listed

router = router_of("session", StrictRoute)
"""Routes whose answers carry a secret."""
pages = router_of("session", NavigatedRoute)
"""Where browsers navigate to."""
identities = router_of("users", OnceRoute)

Next = Annotated[str, Query(alias="next", max_length=MAX_NEXT, description="A path of this site")]
Foreign = Annotated[str, Query(max_length=4096)]


_KIND: Final[dict[str, Any]] = {
    "path": "/",
    "secure": True,
    "httponly": True,
    "samesite": "lax",
}
"""How the cookie is kept; Lax: the way back is a navigation that another site begins."""
_PAGE: Final = Markup(
    '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>SecureFlow</title>'
    '<meta http-equiv="refresh" content="0;url={query}">'
    '<main><a href="{query}">SecureFlow</a></main></html>\n'
)


class Provider(BaseModel):
    """An identity provider, for a login page."""

    name: str = Field(examples=["bank-a"])
    title: str = Field(examples=["Bank A single sign-on"])
    issuer: str = Field(examples=["https://sso.bank-a.example/realms/staff"])
    start: str = Field(examples=["/api/v1/oidc/bank-a/start"])


class LinkRequest(RequestBody):
    """Where the browser comes back to when the identity is bound."""

    next: Annotated[str, StringConstraints(max_length=MAX_NEXT), ONE_LINE] = "/"


class Link(BaseModel):
    """Where the browser goes to prove the identity."""

    location: str = Field(repr=False)


class IdentityRequest(RequestBody):
    """A person at a provider, by the provider's `sub`."""

    provider: Annotated[str, StringConstraints(min_length=1, max_length=64), ONE_LINE]
    subject: Annotated[str, StringConstraints(min_length=1, max_length=255), ONE_LINE]


class IdentityShown(BaseModel):
    """An identity of an account."""

    id: str
    provider: str
    issuer: str
    subject: str
    created: int = Field(description="Unix seconds")


@router.get("/oidc", summary="List identity providers")
async def list_providers(use: Use) -> Listed[Provider]:
    """Return where people may log in, for a login page."""
    shown = [
        Provider(
            name=one.name,
            title=one.title,
            issuer=one.issuer,
            start=f"/api/v1/oidc/{one.name}/start",
        )
        for one in use.oidc.list()
    ]
    return Listed[Provider](**listed(Page(shown)))


@pages.get(
    "/oidc/{name}/start",
    summary="Log in at a provider",
    status_code=302,
    response_class=RedirectResponse,
    responses={302: {"description": "To the provider"}},
)
async def start_oidc(
    name: Key, request: Request, use: Use, leads_to: Next = "/", fresh: bool = False
) -> Response:
    """Send the browser to the provider; it comes back to the callback.

    With `fresh` the provider asks again who the person is, unless it has done so just now: a recent
    proof of identity for who has no password here.
    """
    started = await use.oidc.start(name, leads_to, address_of(request), fresh=fresh)
    answer = RedirectResponse(started.location, 302)
    _keep(request, answer, started)
    return answer


@pages.get(
    "/oidc/{name}/callback",
    summary="Come back from a provider",
    status_code=302,
    response_class=RedirectResponse,
    responses={302: {"description": "Logged in: to the path that the login was started with"}},
)
async def finish_oidc(
    name: Key,
    request: Request,
    use: Use,
    state: Foreign = "",
    code: Foreign = "",
    error: Foreign = "",
    iss: Annotated[str | None, Query(max_length=512)] = None,
    here: bool = False,
) -> Response:
    """Finish the login that this browser started, and open its session.

    A browser that another site sends here gets a page first that leads on at once (`here`).
    """
    if request.headers.get("sec-fetch-site") == "cross-site" and not here:
        return HTMLResponse(_PAGE.format(query=f"?{request.url.query}&here=true"))
    browser = request.cookies.get(cookie_name(request), "")
    kept = browser, session_of(request), client_of(request)
    callback = Callback(state, code, error, iss, *kept)
    finished = await use.oidc.finish(name, callback, address_of(request))
    answer = RedirectResponse(finished.next, 302)
    answer.set_cookie(cookie_name(request), "", max_age=0, **_KIND)
    if finished.opened is not None:
        put_session(request, answer, finished.opened.text)
    return answer


@router.post("/oidc/{name}/link", summary="Bind an identity of mine")
async def link_oidc(
    name: Key, body: LinkRequest, request: Request, response: Response, use: Use, caller: Caller
) -> Link:
    """Begin to bind the caller's own account to an identity; the browser goes to `location`."""
    started = await use.oidc.start(name, body.next, address_of(request), caller)
    _keep(request, response, started)
    return Link(location=started.location)


@identities.get("/users/{key}/identities", summary="List a user's identities")
async def list_identities(key: Key, use: Use, caller: Caller) -> Listed[IdentityShown]:
    """Return the identities of one's own account, or of one that the caller may see."""
    found = await use.oidc.identities.list(caller, key)
    return Listed[IdentityShown](**listed(Page([_shown(one) for one in found])))


@identities.post("/users/{key}/identities", summary="Bind an identity", status_code=201)
async def bind_identity(key: Key, body: IdentityRequest, use: Use, caller: Caller) -> IdentityShown:
    """Bind a person at a provider to an account, as an administrator."""
    return _shown(await use.oidc.identities.bind(caller, key, body.provider, body.subject))


@identities.delete(
    "/users/{key}/identities/{identity}", summary="Remove an identity", status_code=204
)
async def unbind_identity(key: Key, identity: Key, use: Use, caller: Caller) -> None:
    """Remove an identity of an account, whose tokens and sessions end."""
    await use.oidc.identities.unbind(caller, key, identity)


def cookie_name(request: Request) -> str:
    """Return the name of the cookie that binds a started login to its browser.

    It is a host's own under a path prefix too: a neighbouring subdomain could set any other one,
    and so log a browser in to its own account (login CSRF). The prefix is part of the name: another
    service may share the host.
    """
    prefix = settings_of(request).prefix
    tail = f"-{sha256(prefix.encode()).hexdigest()[:8]}" if prefix else ""
    return f"__Host-secureflow-oidc{tail}"


def _keep(request: Request, answer: Response, started: Started) -> None:
    answer.set_cookie(cookie_name(request), started.browser, max_age=PENDING_SECONDS, **_KIND)


def _shown(identity: Identity) -> IdentityShown:
    return IdentityShown(
        id=identity.id,
        provider=identity.provider,
        issuer=identity.issuer,
        subject=identity.subject,
        created=identity.created,
    )
