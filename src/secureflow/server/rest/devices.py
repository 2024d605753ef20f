"""The device flow (RFC 8628): programs without a browser, logged in by a person elsewhere."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request
from pydantic import BaseModel, Field, StringConstraints

from secureflow.domain.logins import Device
from secureflow.domain.texts import ONE_LINE
from secureflow.server.rest.bodies import StrictRoute, at_most
from secureflow.server.rest.callers import Caller, Use, address_of
from secureflow.server.rest.idempotency import OnceRoute, shown_as
from secureflow.server.rest.routers import router_of
from secureflow.server.rest.session import LOGIN_BYTES, Session, session_of
from secureflow.server.rest.shapes import RequestBody

open_router = router_of("session", StrictRoute)
"""What a program asks that nobody has logged in yet."""
router = router_of("devices", OnceRoute)

UserCode = Annotated[
    str,
    ONE_LINE,
    Path(max_length=32, description="As the program shows it", examples=["BCDF-GHJK"]),
]


class DeviceRequest(RequestBody):
    """A program that asks to be logged in."""

    client: Annotated[str, StringConstraints(min_length=1, max_length=64), ONE_LINE] = Field(
        description="Its own name, which the approving person is shown as a claim",
        examples=["SecureFlow CLI on training-3"],
    )


class DeviceCodes(BaseModel):
    """What the program keeps (`device_code`) and what a person types (`user_code`)."""

    device_code: str = Field(repr=False, examples=["sfd_01jf2k…"])
    user_code: str = Field(examples=["BCDF-GHJK"])
    expires: int = Field(description="Unix seconds")
    interval: int = Field(description="Seconds between two questions for the outcome")


class DeviceQuestion(RequestBody):
    """The program's own secret."""

    device_code: Annotated[str, StringConstraints(max_length=128), ONE_LINE] = Field(repr=False)


class DeviceShown(BaseModel):
    """Who asks. `client` is what the program calls itself; `address` is where it asked from."""

    id: str
    client: str
    address: str
    created: int
    expires: int


def shown(device: Device) -> DeviceShown:
    """Return what the approving person sees of a device."""
    return DeviceShown(
        id=device.id,
        client=device.client,
        address=device.address,
        created=device.created,
        expires=device.expires,
    )


@open_router.post("/devices", summary="Ask to be logged in", status_code=201)
@at_most(LOGIN_BYTES)
async def start_device(body: DeviceRequest, request: Request, use: Use) -> DeviceCodes:
    """Return a code for a person who is logged in elsewhere; it lasts ten minutes."""
    started = await use.devices.start(body.client, address_of(request))
    return DeviceCodes(
        device_code=started.secret,
        user_code=started.code,
        expires=started.expires,
        interval=started.interval,
    )


@open_router.post("/devices/login", summary="Ask for the outcome")
@at_most(LOGIN_BYTES)
async def poll_device(body: DeviceQuestion, request: Request, use: Use) -> Session:
    """Return the login, once, after it was approved.

    Until then the answer is `authorization_pending`, or `slow_down` with the interval to keep;
    afterwards `access_denied` or `device_code_expired`.
    """
    return session_of(request, await use.devices.poll(body.device_code))


@router.get("/devices/{code}", summary="Who asks to be logged in")
async def get_device(code: UserCode, use: Use, caller: Caller, request: Request) -> DeviceShown:
    """Return which program shows this code, and where it asked from."""
    return shown(await use.devices.find(caller, code, address_of(request)))


@router.post("/devices/{code}/approve", summary="Log a program in")
@shown_as(shown)
async def approve_device(code: UserCode, use: Use, caller: Caller, request: Request) -> DeviceShown:
    """Log the program that shows this code in as the caller."""
    return shown(await use.devices.decide(caller, code, address_of(request), approve=True))


@router.post("/devices/{code}/deny", summary="Refuse a program")
@shown_as(shown)
async def deny_device(code: UserCode, use: Use, caller: Caller, request: Request) -> DeviceShown:
    """Refuse the program that shows this code."""
    return shown(await use.devices.decide(caller, code, address_of(request), approve=False))
