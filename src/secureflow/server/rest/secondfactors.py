"""Second factors: the caller's own, and resets by administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request
from pydantic import BaseModel, Field, StringConstraints

from secureflow.server.rest.bodies import StrictRoute
from secureflow.server.rest.callers import Caller, Use, address_of
from secureflow.server.rest.idempotency import OnceRoute
from secureflow.server.rest.routers import router_of
from secureflow.server.rest.session import Code
from secureflow.server.rest.shapes import Key, RequestBody

secret_router = router_of("session", StrictRoute)
"""Routes with a secret in the answer, which is never kept."""
router = router_of("second-factor", OnceRoute)


class CodeRequest(RequestBody):
    """A code of the second factor."""

    code: Code = Field(min_length=1, examples=["492039"])


class RemovalRequest(CodeRequest):
    """A code, and the password where the caller's login is older than five minutes."""

    password: Annotated[str, StringConstraints(max_length=256)] = Field("", repr=False)


class FactorShown(BaseModel):
    """Whether the caller has a second factor, and needs one."""

    enrolled: bool
    since: int = Field(description="Unix seconds; 0 for none")
    recovery_left: int = Field(description="Recovery codes that are not used")
    required: bool = Field(description="Whether the caller's role needs one")


class Enrolment(BaseModel):
    """A secret for an authenticator app, shown only once."""

    secret: str = Field(repr=False, description="Base32")
    uri: str = Field(repr=False, examples=["otpauth://totp/…"])


class RecoveryCodes(BaseModel):
    """Codes for the loss of the authenticator app, each for one login; shown only once."""

    recovery: list[str] = Field(repr=False)


@router.get("/me/second-factor", summary="My second factor")
async def get_second_factor(use: Use, caller: Caller) -> FactorShown:
    """Return whether the caller has a second factor."""
    state = await use.second_factors.state(caller)
    return FactorShown(
        enrolled=state.enrolled,
        since=state.since,
        recovery_left=state.recovery_left,
        required=state.required,
    )


@secret_router.post("/me/second-factor", summary="Enrol a second factor", status_code=201)
async def enrol_second_factor(use: Use, caller: Caller) -> Enrolment:
    """Return a secret; it counts once a code has confirmed it."""
    enrolling = await use.second_factors.enrol(caller)
    return Enrolment(secret=enrolling.secret, uri=enrolling.uri)


@secret_router.post("/me/second-factor/confirm", summary="Confirm a second factor")
async def confirm_second_factor(body: CodeRequest, use: Use, caller: Caller) -> RecoveryCodes:
    """Make it count by a code; the answer holds ten recovery codes."""
    return RecoveryCodes(recovery=await use.second_factors.confirm(caller, body.code))


@router.post("/me/second-factor/remove", summary="Remove my second factor", status_code=204)
async def remove_second_factor(
    body: RemovalRequest, use: Use, caller: Caller, request: Request
) -> None:
    """Remove the caller's second factor, by one of its codes.

    With the password the code counts as a proof of identity as well, as at `POST /me/proof`.
    """
    if body.password:
        await use.proofs.give(caller, body.password, address_of(request), body.code)
    await use.second_factors.remove(caller, body.code, used=bool(body.password))


@router.delete(
    "/users/{key}/second-factor", summary="Reset a user's second factor", status_code=204
)
async def reset_second_factor(key: Key, use: Use, caller: Caller) -> None:
    """Remove the second factor of a person of the caller's organisation, who has lost it."""
    await use.second_factors.reset(caller, key)
