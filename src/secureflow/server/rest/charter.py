"""The charter: shown, proposed, signed."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from secureflow.domain.texts import ONE_LINE
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute, shown_as
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import RequestBody, Slug

router = router_of("charter", OnceRoute, f"{PREFIX}/charter")


class CharterShown(BaseModel):
    """A charter with its signatures. The words are the server's claim: compare your agent's."""

    charter: dict[str, Any]
    signatures: dict[str, str]
    digest: str
    words: str = Field(examples=["acorn bridge castle …"])
    digits: str = Field(examples=["01234 56789 …"])


def _shown(value: dict[str, Any]) -> CharterShown:
    return CharterShown(**value)


class CandidateRequest(RequestBody):
    """The future members; by default every organisation with an enrolled agent."""

    members: list[Slug] | None = Field(None, max_length=1000, examples=[["bank-a", "bank-b"]])


class LogKeyRequest(RequestBody):
    """Why the log gets another key; the members read it."""

    reason: Annotated[str, ONE_LINE] = Field(min_length=1, max_length=200)


class SignatureRequest(RequestBody):
    """An organisation's signature (kind `charter`) over the candidate."""

    organisation: Slug
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    signature: Annotated[str, ONE_LINE] = Field(max_length=128)


@router.get("", summary="Get the charter")
async def get_charter(use: Use, caller: Caller) -> CharterShown:
    """Return the adopted charter."""
    return CharterShown(**await use.charters.show(caller))


@router.get("/candidate", summary="Get the next charter")
async def get_charter_candidate(use: Use, caller: Caller) -> CharterShown:
    """Return the charter that waits for signatures."""
    return CharterShown(**await use.charters.show(caller, candidate=True))


@router.post("/candidate", summary="Propose a charter", status_code=201)
@shown_as(_shown)
async def propose_charter(body: CandidateRequest, use: Use, caller: Caller) -> CharterShown:
    """Draft the next charter (the operator); an older candidate is dropped."""
    return CharterShown(**await use.charters.propose(caller, body.members))


@router.post("/continuation", summary="Continue a log that was rolled back", status_code=201)
@shown_as(_shown)
async def continue_log(use: Use, caller: Caller) -> CharterShown:
    """Draft the charter that lets a log that was rolled back continue (the operator).

    It names the old head, the lost range and the new start; the log signs nothing until more than
    two thirds of the members have signed it.
    """
    return CharterShown(**await use.charters.draft_continuation(caller))


@router.post("/log-key", summary="Propose another key for the log", status_code=201)
@shown_as(_shown)
async def change_log_key(body: LogKeyRequest, use: Use, caller: Caller) -> CharterShown:
    """Draft the charter that names the log's next key (the operator), which lies at the centre.

    The log signs nothing until more than two thirds of the members have signed it, or it is given
    up.
    """
    return CharterShown(**await use.log_key_change.propose(caller, body.reason))


@router.delete("/log-key", summary="Give up another key for the log", status_code=204)
async def give_up_log_key(use: Use, caller: Caller) -> None:
    """Drop the proposed key (the operator): the log goes on under its present one."""
    await use.log_key_change.give_up(caller)


@router.post("/signatures", summary="Sign the charter")
@shown_as(_shown)
async def sign_charter(body: SignatureRequest, use: Use, caller: Caller) -> CharterShown:
    """Add a signature; the candidate is adopted once there are enough."""
    signed = await use.charters.sign(caller, body.organisation, body.digest, body.signature)
    return CharterShown(**signed)
