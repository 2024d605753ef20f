"""Renewal of an expired link certificate: open to anyone, so small and rate-limited.

The caller is authenticated by a signature of the enrolled key over the server's challenge.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Request
from pydantic import BaseModel, Field

from secureflow.domain.texts import ONE_LINE, SEVERAL_LINES
from secureflow.server.rest.bodies import StrictRoute, at_most
from secureflow.server.rest.callers import Use, address_of
from secureflow.server.rest.routers import router_of
from secureflow.server.rest.shapes import RequestBody

CHALLENGE_BYTES: Final = 1024
RENEWAL_BYTES: Final = 8192

router = router_of("enrolment", StrictRoute)

Identity = Annotated[str, ONE_LINE]


class RenewalChallengeRequest(RequestBody):
    """The owner of the certificate to renew."""

    agent: Identity = Field(max_length=300, examples=["spiffe://x.example/org/bank-a/agent/a1"])


class ChallengeShown(BaseModel):
    """The challenge to sign, and the server's time."""

    nonce: str
    time: int = Field(description="Unix seconds")
    expires: int = Field(description="Unix seconds")


class RenewalRequest(RequestBody):
    """A fresh CSR, and a signature (kind `renew`) over `{agent, nonce, csr}`.

    It is by the signing key that was enrolled; `csr` in it is the CSR's hex SHA-256.
    """

    agent: Identity = Field(max_length=300)
    nonce: Annotated[str, ONE_LINE] = Field(max_length=128)
    csr: Annotated[str, SEVERAL_LINES] = Field(
        max_length=4096, examples=["-----BEGIN CERTIFICATE REQUEST-----…"]
    )
    signature: Annotated[str, ONE_LINE] = Field(max_length=128)


class Renewed(BaseModel):
    """The new certificate chain (PEM), for the same identity."""

    certificate: str


@router.post("/renewals/challenge", summary="Get a challenge for a renewal")
@at_most(CHALLENGE_BYTES)
async def create_challenge(
    body: RenewalChallengeRequest, request: Request, use: Use
) -> ChallengeShown:
    """Return a challenge to sign; anyone may ask, for any name, and it is not stored."""
    return ChallengeShown(**vars(use.renewals.challenge(body.agent, address_of(request))))


@router.post("/renewals", summary="Renew an expired link certificate", status_code=201)
@at_most(RENEWAL_BYTES)
async def renew_certificate(body: RenewalRequest, request: Request, use: Use) -> Renewed:
    """Turn a signed challenge and a CSR into a certificate of the same identity."""
    chain = await use.renewals.renew(
        body.agent, body.nonce, body.csr, body.signature, address_of(request)
    )
    return Renewed(certificate=chain)
