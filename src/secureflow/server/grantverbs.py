"""Verbs about grants: agents tell theirs, and stop jobs; the centre shows what it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secureflow.adapters.link import PeerIdentity
from secureflow.application.organisations import ENCLAVE
from secureflow.domain.jobs import WITHDRAWALS
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.server.services import Services

Body = Mapping[str, JSON]
MAX_JOBS: Final = 100
MAX_NAMES: Final = 1000


async def tell(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Take a grant that the organisation signed at its agent; return its id here."""
    signed, signature = _signed(body)
    grant = await services.datasets.take_grant(_organisation(peer), signed, signature)
    return {"id": grant.id}


async def end(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Take back a grant that the organisation revoked at its agent."""
    signed, signature = _signed(body)
    await services.datasets.take_revocation(_organisation(peer), signed, signature)
    return {}


async def listed(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Return the organisation's grants, and which of the named submitters are disabled."""
    names = body.get("submitters", [])
    if not isinstance(names, list) or len(names) > MAX_NAMES:
        raise _invalid()
    grants = await services.datasets.grants_of(_organisation(peer))
    async with services.begin() as work:
        found = [await work.users.find(one) for one in names if isinstance(one, str)]
    return {"grants": grants, "disabled": [one.id for one in found if one and one.disabled]}


async def withdraw(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """End jobs that an organisation stopped at its agent, by that name."""
    organisation, jobs = _organisation(peer), body.get("jobs")
    if not isinstance(jobs, list) or len(jobs) > MAX_JOBS:
        raise _invalid()
    for one in jobs:
        if not isinstance(one, list) or len(one) != 2 or one[1] not in WITHDRAWALS:
            raise _invalid()
        await services.jobs.withdrawn(organisation, str(one[0])[:64], str(one[1]))
    return {}


def _organisation(peer: PeerIdentity) -> str:
    if peer.party == ENCLAVE:
        raise SecureFlowError("forbidden", "An enclave has no data to grant.")
    return peer.party


def _signed(body: Body) -> tuple[dict[str, JSON], str]:
    signed, signature = body.get("body"), body.get("signature")
    if not isinstance(signed, dict) or not isinstance(signature, str) or len(signature) > 128:
        raise _invalid()
    return signed, signature


def _invalid() -> SecureFlowError:
    return SecureFlowError("invalid_request", "The message about grants is malformed.")
