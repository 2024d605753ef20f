"""Browser sessions: log in and out with a cookie, and end one's sessions elsewhere.

Programs log in with `POST /login` instead and show the token that it returns.
"""

from __future__ import annotations

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field

from secureflow.application.ports.storage import Page
from secureflow.domain.sessions import Session
from secureflow.server.rest.bodies import StrictRoute, at_most
from secureflow.server.rest.callers import (
    Caller,
    ShownSession,
    Use,
    address_of,
    client_of,
    recognise,
)
from secureflow.server.rest.cookies import clear_session, of_own_page, put_session, session_of
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.routers import router_of
from secureflow.server.rest.session import LOGIN_BYTES, Account, LoginRequest, account
from secureflow.server.rest.shapes import Key, Listed, listed

router = router_of("session", StrictRoute)
ending = router_of("session", OnceRoute)


class BrowserSession(BaseModel):
    """One of the caller's browser sessions, without its secret."""

    id: str = Field(examples=["ses_01jf2k"])
    method: str = Field(description="How its owner logged in", examples=["password"])
    address: str = Field(description="From where", examples=["192.0.2.7"])
    created: int = Field(description="Unix seconds")
    used: int = Field(description="Unix seconds, at most a minute behind")
    expires: int = Field(description="When it ends if it is not used again")
    current: bool = Field(description="Whether this request came with it")


def _shown(session: Session, current: str) -> BrowserSession:
    return BrowserSession(
        id=session.id,
        method=session.method,
        address=session.address,
        created=session.created,
        used=session.used,
        expires=session.expires,
        current=session.id == current,
    )


@router.post("/session", summary="Log in with a browser", dependencies=[Depends(of_own_page)])
@at_most(LOGIN_BYTES)
async def open_session(
    body: LoginRequest, request: Request, response: Response, use: Use
) -> Account:
    """Set the cookie of a new session, and return the account.

    A session that the browser had before ends. The request must come from a page of this service.
    """
    address = address_of(request)
    user = await use.logins.check(body.name, body.password, address, body.code)
    opened = await use.sessions.open(
        *(user,),
        method="password",
        address=address,
        brought=session_of(request),
        client=client_of(request),
    )
    recognise(request, opened.text, user.id)
    put_session(request, response, opened.text)
    return account(user)


@router.delete("/session", summary="Log out of a browser", status_code=204)
async def close_session(request: Request, response: Response, use: Use, text: ShownSession) -> None:
    """End the session of this request's cookie, and clear it; an ended one is not an error."""
    await use.sessions.close(text)
    clear_session(request, response)


@router.get("/sessions", summary="List my browser sessions")
async def list_sessions(use: Use, caller: Caller) -> Listed[BrowserSession]:
    """Return the caller's sessions that have not ended."""
    sessions = await use.sessions.list(caller)
    shown = [_shown(one, caller.session) for one in sessions]
    return Listed[BrowserSession](**listed(Page(shown)))


@ending.delete("/sessions", summary="End my other browser sessions", status_code=204)
async def delete_other_sessions(use: Use, caller: Caller) -> None:
    """End all of the caller's sessions but the one that asks; a token's caller ends all."""
    await use.sessions.revoke_others(caller)


@ending.delete("/sessions/{key}", summary="End a browser session", status_code=204)
async def delete_session(key: Key, use: Use, caller: Caller) -> None:
    """End one of the caller's sessions."""
    await use.sessions.revoke(caller, key)
