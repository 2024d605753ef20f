"""Accounts, for administrators."""

from __future__ import annotations

from pydantic import Field

from secureflow.application.ports.storage import Page
from secureflow.domain.users import Role
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute, shown_as
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.session import Account, Password, TokenShown, account, shown_token
from secureflow.server.rest.shapes import (
    LIMIT,
    Cursor,
    Key,
    Limit,
    Listed,
    Narrowed,
    OptionalLine,
    Reference,
    RequestBody,
    decode_cursor,
    listed,
)

router = router_of("users", OnceRoute, f"{PREFIX}/users")


class UserRequest(RequestBody):
    """A new account. Without an organisation it belongs to the operator."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$", examples=["ada"])
    password: Password = Field(repr=False)
    display: OptionalLine = Field("", examples=["Ada Lovelace"])
    organisation: Reference = Field("", examples=["bank-a"])
    roles: list[Role] = Field(min_length=1, max_length=8, examples=[["data-scientist"]])


class UserChange(RequestBody):
    """What to change; fields that are absent stay as they are."""

    display: OptionalLine | None = None
    roles: list[Role] | None = Field(None, min_length=1, max_length=8)
    disabled: bool | None = None
    password: Password | None = Field(None, repr=False)


@router.get("", summary="List users")
async def list_users(
    use: Use,
    caller: Caller,
    narrowed: Narrowed,
    organisation: Reference = "",
    cursor: Cursor = "",
    limit: Limit = LIMIT,
) -> Listed[Account]:
    """Return the people of the caller's organisation; the operator sees all."""
    page = await use.users.list(
        caller,
        organisation=organisation,
        narrowing=narrowed,
        cursor=decode_cursor(cursor),
        limit=limit,
    )
    return Listed[Account](**listed(Page([account(user) for user in page.items], page.next)))


@router.post("", summary="Create a user", status_code=201)
@shown_as(account)
async def create_user(body: UserRequest, use: Use, caller: Caller) -> Account:
    """Create an account in an organisation."""
    user = await use.users.create(
        caller,
        name=body.name,
        password=body.password,
        display=body.display,
        organisation=body.organisation,
        roles=body.roles,
    )
    return account(user)


@router.get("/{key}", summary="Get a user")
async def get_user(key: Key, use: Use, caller: Caller) -> Account:
    """Return a person of the caller's organisation."""
    return account(await use.users.get(caller, key))


@router.patch("/{key}", summary="Change a user")
@shown_as(account)
async def update_user(key: Key, body: UserChange, use: Use, caller: Caller) -> Account:
    """Change display name, roles, password, or disable; the latter two end the user's access."""
    user = await use.users.update(
        caller,
        key,
        display=body.display,
        roles=body.roles,
        disabled=body.disabled,
        password=body.password,
    )
    return account(user)


@router.post("/{key}/erase", summary="Erase who a user is")
@shown_as(account)
async def erase_user(key: Key, use: Use, caller: Caller) -> Account:
    """Remove name, display name, password and addresses for good, and end all access.

    The id stays, so that ledger entries about it still verify.
    """
    return account(await use.users.erase(caller, key))


@router.get("/{key}/tokens", summary="List a user's tokens")
async def list_user_tokens(key: Key, use: Use, caller: Caller) -> Listed[TokenShown]:
    """Return the valid tokens of a person of the caller's organisation, without their text."""
    tokens = await use.tokens.list_of(caller, key)
    return Listed[TokenShown](**listed(Page([shown_token(token) for token in tokens])))


@router.delete("/{key}/tokens/{token}", summary="Revoke a user's token", status_code=204)
async def delete_user_token(key: Key, token: Key, use: Use, caller: Caller) -> None:
    """Revoke a token of a person of the caller's organisation."""
    await use.tokens.revoke_of(caller, key, token)
