"""Organisations, their agents, and enrolment."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from secureflow.application.ports.courier import PartyStatus
from secureflow.application.ports.storage import Page
from secureflow.domain.organisations import Agent, Enrolment, Organisation
from secureflow.domain.texts import ONE_LINE, SEVERAL_LINES
from secureflow.server.rest.bodies import StrictRoute
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute, key_of
from secureflow.server.rest.routers import router_of
from secureflow.server.rest.shapes import (
    LIMIT,
    Cursor,
    Key,
    Limit,
    Line,
    Listed,
    Reference,
    RequestBody,
    Slug,
    decode_cursor,
    listed,
)

router = router_of("organisations", OnceRoute)
secret_router = router_of("enrolment", StrictRoute)
"""Routes whose answers hold a secret: never kept for idempotency."""


class PemResponse(PlainTextResponse):
    """A certificate as PEM."""

    media_type = "application/x-pem-file"


class OrganisationRequest(RequestBody):
    """A new organisation; its slug is what charters, rosters and certificates carry."""

    id: Slug = Field(examples=["bank-a"])
    name: Line = Field(examples=["Bank A plc"])


class EnrolmentRequest(RequestBody):
    """Who the token is for: an organisation's agent, or an enclave (no organisation)."""

    kind: Literal["agent", "enclave"] = "agent"
    organisation: Reference = Field("", examples=["bank-a"])


class EnrolmentShown(BaseModel):
    """An enrolment; `token` is its text, only in the answer that creates it."""

    id: str
    kind: Literal["agent", "enclave"]
    organisation: str
    created: int
    expires: int
    used: int | None
    token: str = Field("", repr=False)


class EnrollRequest(RequestBody):
    """A newcomer's token, CSR and signing key.

    `signature` (kind `enrol`, by the key) is over `{token_id, csr, key}` with the CSR's hex
    SHA-256; an enclave keeps no signing key and may leave both empty.
    """

    token: Annotated[str, ONE_LINE] = Field(repr=False, max_length=1024, examples=["sfe_…"])
    csr: Annotated[str, SEVERAL_LINES] = Field(
        max_length=16_384, examples=["-----BEGIN CERTIFICATE REQUEST-----…"]
    )
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", examples=["agent-1"])
    key: Annotated[str, ONE_LINE] = Field("", max_length=64)
    signature: Annotated[str, ONE_LINE] = Field("", max_length=128)


class LogIdentity(BaseModel):
    """The name and key under which the log signs its checkpoints."""

    origin: str
    key: str


class Enrolled(BaseModel):
    """The newcomer's certificate chain (PEM), the CA, and where to connect."""

    certificate: str
    ca: str
    spiffe: str
    trust_domain: str
    link: str
    log: LogIdentity


def _shown(enrolment: Enrolment, text: str = "") -> EnrolmentShown:
    return EnrolmentShown(
        id=enrolment.id,
        kind=enrolment.kind,
        organisation=enrolment.organisation,
        created=enrolment.created,
        expires=enrolment.expires,
        used=enrolment.used,
        token=text,
    )


@router.get("/organisations", summary="List organisations", response_model=Listed[Organisation])
async def list_organisations(
    use: Use, caller: Caller, cursor: Cursor = "", limit: Limit = LIMIT
) -> object:
    """Return the directory of organisations, which is open to everyone who is logged in."""
    page = await use.organisations.list(caller, cursor=decode_cursor(cursor), limit=limit)
    return listed(page)


@router.post("/organisations", summary="Register an organisation", status_code=201)
async def create_organisation(body: OrganisationRequest, use: Use, caller: Caller) -> Organisation:
    """Register an organisation (the operator)."""
    return await use.organisations.create(caller, body.id, body.name)


@router.get("/organisations/{key}", summary="Get an organisation")
async def get_organisation(key: Key, use: Use, caller: Caller) -> Organisation:
    """Return an organisation."""
    return await use.organisations.get(caller, key)


@router.post("/organisations/{key}/disable", summary="Disable an organisation")
async def disable_organisation(key: Key, use: Use, caller: Caller) -> Organisation:
    """Disable an organisation: its people, its agent, and the renewal of its certificate."""
    return await use.organisations.set_disabled(caller, key, True)


@router.post("/organisations/{key}/enable", summary="Enable an organisation")
async def enable_organisation(key: Key, use: Use, caller: Caller) -> Organisation:
    """Enable a disabled organisation again; nothing needs to be enrolled again."""
    return await use.organisations.set_disabled(caller, key, False)


@router.get("/agents", summary="List agents", response_model=Listed[Agent])
async def list_agents(
    use: Use, caller: Caller, cursor: Cursor = "", limit: Limit = LIMIT
) -> object:
    """Return the enrolled agents of the caller's organisation; the operator sees all."""
    page = await use.organisations.agents(caller, cursor=decode_cursor(cursor), limit=limit)
    return listed(page)


@router.post("/agents/{key:path}/revoke", summary="Revoke an agent")
async def revoke_agent(key: Key, use: Use, caller: Caller) -> Agent:
    """Revoke an agent permanently; `key` is its SPIFFE id."""
    return await use.organisations.revoke(caller, key)


@router.get("/parties", summary="List link statuses", response_model=Listed[PartyStatus])
async def list_parties(use: Use, caller: Caller) -> object:
    """Return the links of the enclave, the caller's organisation, and fellow project members."""
    return listed(Page(list(await use.organisations.parties(caller, use.courier))))


@secret_router.get("/enrolments", summary="List enrolments")
async def list_enrolments(
    use: Use, caller: Caller, cursor: Cursor = "", limit: Limit = LIMIT
) -> Listed[EnrolmentShown]:
    """Return one-time enrolment tokens without their text."""
    page = await use.organisations.invitations(caller, cursor=decode_cursor(cursor), limit=limit)
    items = [_shown(enrolment) for enrolment in page.items]
    return Listed[EnrolmentShown](**listed(Page(items, page.next)))


@secret_router.post("/enrolments", summary="Create an enrolment token", status_code=201)
async def create_enrolment(
    body: EnrolmentRequest, use: Use, caller: Caller, request: Request
) -> EnrolmentShown:
    """Create a one-time token; its text is shown only in this answer.

    If the request is repeated under the same `Idempotency-Key`, a new token replaces the first one.
    """
    key = key_of(request) or ""
    enrolment, text = await use.organisations.invite(caller, body.kind, body.organisation, key)
    return _shown(enrolment, text)


@secret_router.post("/enroll", summary="Enrol an agent or enclave", status_code=201)
async def enroll(body: EnrollRequest, use: Use) -> Enrolled:
    """Turn a one-time token and a CSR into a link certificate. The token is the credential."""
    enrolled = await use.organisations.enroll(
        body.token, body.csr, body.name, body.key, body.signature
    )
    return Enrolled(**{**vars(enrolled), "log": LogIdentity(**dict(enrolled.log))})


@secret_router.get("/ca", summary="Get the link CA", response_class=PemResponse)
async def get_ca(use: Use) -> PemResponse:
    """Return the CA certificate as PEM; newcomers compare it with their token's fingerprint."""
    return PemResponse(use.organisations.ca)
