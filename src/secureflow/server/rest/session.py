"""Login, logout, the caller's own account and tokens."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import Request
from pydantic import BaseModel, Field, StringConstraints

from secureflow.application.ports.storage import Page
from secureflow.application.tokens import Issued
from secureflow.domain.texts import ONE_LINE
from secureflow.domain.users import Role, Scope, Token, User
from secureflow.server.rest.bodies import StrictRoute, at_most
from secureflow.server.rest.callers import Caller, Shown, Use, address_of, client_of, recognise
from secureflow.server.rest.idempotency import OnceRoute, key_of
from secureflow.server.rest.routers import router_of
from secureflow.server.rest.shapes import Key, Listed, OptionalLine, RequestBody, listed

Password = Annotated[str, StringConstraints(min_length=1, max_length=256)]

Code = Annotated[str, StringConstraints(max_length=64), Field(repr=False), ONE_LINE]
Refresh = Annotated[str, StringConstraints(max_length=128), ONE_LINE]
RequestableScope = Literal["all", "read", "jobs", "data", "people", "admin"]
"""`application.scopes.REQUESTABLE`, as the schema of a request names it."""

LOGIN_BYTES: Final = 4096
"""Maximum size of a name and a password, however they are escaped."""

router = router_of("session", StrictRoute)
ending = router_of("session", OnceRoute)
"""Routes without a secret in the answer, which may be kept."""


class Account(BaseModel):
    """A person, without secrets."""

    id: str = Field(examples=["usr_01jf2k"])
    name: str = Field(examples=["ada"])
    display: str = Field(examples=["Ada Lovelace"])
    organisation: str = Field(examples=["bank-a"])
    roles: list[Role] = Field(examples=[["data-scientist"]])
    created: int = Field(description="Unix seconds")
    disabled: bool
    erased: int | None = Field(None, description="Unix seconds; then nothing is left but the id")
    handed: bool = Field(False, description="Somebody else chose the password: change it")


class LoginRequest(RequestBody):
    """A name, a password, and a code where the account needs one."""

    name: Annotated[str, ONE_LINE] = Field(max_length=64, examples=["ada"])
    password: Password = Field(repr=False, examples=["correct horse battery staple"])
    code: Code = Field("", description="Of the second factor, where the account has one")
    refresh: bool = Field(False, description="A token for an hour, continued by refresh tokens")


class RefreshRequest(RequestBody):
    """A refresh token."""

    refresh: Refresh = Field(repr=False, examples=["sfr_01jf2k…"])


class LogoutRequest(RequestBody):
    """The refresh token of a login that has one: the access token may have expired."""

    refresh: Refresh = Field("", repr=False)


class Session(BaseModel):
    """A bearer token, shown only once; with a refresh token where that was asked for."""

    token: str = Field(repr=False, examples=["sft_01jf2k…"])
    expires: int = Field(description="Unix seconds")
    refresh: str = Field("", repr=False, examples=["sfr_01jf2k…"])
    refresh_expires: int = Field(0, description="When it ends if it is not used; unix seconds")
    user: Account


class PasswordChange(RequestBody):
    """The old password authenticates the caller."""

    old: Password = Field(repr=False)
    new: Password = Field(repr=False)


class ProofRequest(RequestBody):
    """The caller's password again, and a code where the account needs one."""

    password: Password = Field(repr=False)
    code: Code = Field("", description="Of the second factor, where the account has one")


class ProofShown(BaseModel):
    """A proof of identity was taken for the caller's session or token."""

    until: int = Field(description="Until when it is good; unix seconds")


class TokenRequest(RequestBody):
    """A token for a program."""

    label: OptionalLine = Field("", examples=["nightly training"])
    days: int = Field(30, ge=1, le=90)
    scopes: list[RequestableScope] = Field(
        ["all"],
        min_length=1,
        max_length=8,
        description="What it is good for, within the roles of its user",
        examples=[["jobs", "read"]],
    )


class TokenShown(BaseModel):
    """One of the caller's tokens; `token` is its text, only in the answer that creates it."""

    id: str
    label: str
    created: int
    expires: int
    scopes: list[Scope]
    used: int = Field(description="When it was last used, to the minute; 0 for never")
    token: str = Field("", repr=False)


def account(user: User) -> Account:
    """Return the public part of a user: the password hash never leaves the server."""
    return Account(
        id=user.id,
        name=user.name,
        display=user.display,
        organisation=user.organisation,
        roles=list(user.roles),
        created=user.created,
        disabled=user.disabled,
        erased=user.erased,
        handed=user.handed,
    )


def session_of(request: Request, issued: Issued) -> Session:
    """Return what somebody gets who has just logged in."""
    recognise(request, issued.text, issued.user.id)
    return Session(
        token=issued.text,
        expires=issued.token.expires,
        refresh=issued.refresh,
        refresh_expires=issued.refresh_expires,
        user=account(issued.user),
    )


def shown_token(token: Token, text: str = "") -> TokenShown:
    """Return the public part of a token."""
    return TokenShown(
        id=token.id,
        label=token.label,
        created=token.created,
        expires=token.expires,
        scopes=list(token.scopes),
        used=token.used,
        token=text,
    )


@router.post("/login", summary="Log in")
@at_most(LOGIN_BYTES)
async def login(body: LoginRequest, request: Request, use: Use) -> Session:
    """Return a bearer token for 12 hours, or for one with a refresh token for 30 days.

    An account with a second factor needs its `code`; without it the answer says so
    (`second_factor_required`) once the password is right.
    """
    address, client = address_of(request), client_of(request)
    if body.refresh:
        user = await use.logins.check(body.name, body.password, address, body.code)
        issued = await use.refreshing.begin(user, "password", address, client)
    else:
        issued = await use.tokens.login(body.name, body.password, address, body.code, client)
    return session_of(request, issued)


@router.post("/refresh", summary="Continue a login")
@at_most(LOGIN_BYTES)
async def refresh_login(body: RefreshRequest, request: Request, use: Use) -> Session:
    """Return a token for an hour and the next refresh token; the one that was sent is spent.

    If the answer was lost, the same request may be repeated for some seconds. A spent token that is
    sent later ends the login.
    """
    return session_of(request, await use.refreshing.refresh(body.refresh))


@router.post("/logout", summary="Log out", status_code=204)
async def logout(use: Use, token: Shown, body: LogoutRequest | None = None) -> None:
    """Revoke the token that this request carries; one that has already ended is not an error."""
    await use.tokens.logout(token)  # first: what is refused has ended nothing
    if body is not None and body.refresh:
        await use.refreshing.end(body.refresh)


@router.get("/me", summary="Who am I")
async def get_me(use: Use, caller: Caller) -> Account:
    """Return the caller's account."""
    return account(await use.users.get(caller, caller.user))


@router.post("/me/password", summary="Change my password", status_code=204)
async def change_password(body: PasswordChange, use: Use, caller: Caller) -> None:
    """Set a new password; the caller's other tokens and sessions end."""
    await use.users.change_password(caller, body.old, body.new)


@router.post("/me/proof", summary="Prove again who I am")
@at_most(LOGIN_BYTES)
async def prove(body: ProofRequest, use: Use, caller: Caller, request: Request) -> ProofShown:
    """Take the caller's password again, for what is refused as `proof_required`.

    It is good for five minutes, for the session or token that this request carries. A login is such
    a proof itself.
    """
    address = address_of(request)
    until = await use.proofs.give(caller, body.password, address, body.code)
    return ProofShown(until=until)


@router.get("/tokens", summary="List my tokens")
async def list_tokens(use: Use, caller: Caller) -> Listed[TokenShown]:
    """Return the caller's valid tokens, without their text."""
    tokens = await use.tokens.list(caller)
    return Listed[TokenShown](**listed(Page([shown_token(token) for token in tokens])))


@router.post("/tokens", summary="Create a token", status_code=201)
async def create_token(
    body: TokenRequest, use: Use, caller: Caller, request: Request
) -> TokenShown:
    """Create another token of the caller; its text is shown only in this answer.

    If the request is repeated under the same `Idempotency-Key`, a new token replaces the first one.
    """
    key = key_of(request) or ""
    scopes = [Scope(one) for one in body.scopes]
    issued = await use.tokens.create(caller, body.label, body.days * 86_400, key, scopes)
    return shown_token(issued.token, issued.text)


@ending.delete("/tokens/{key}", summary="Revoke a token", status_code=204)
async def delete_token(key: Key, use: Use, caller: Caller) -> None:
    """Revoke one of the caller's tokens."""
    await use.tokens.revoke(caller, key)
