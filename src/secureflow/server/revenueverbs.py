"""Verbs about revenue: the centre shows agreements, settlements and records, and takes deeds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from secureflow.adapters.link import PeerIdentity
from secureflow.application.jobevidence import agent_principal
from secureflow.application.organisations import ENCLAVE
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.server.services import Services

Body = Mapping[str, JSON]
_LONGEST: Final = 128


async def agreement(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Return a version of a project's agreement, and the one that waits for signatures."""
    project, version = _text(body, "project"), _number(body, "version")
    return await services.agreements.of_agent(_organisation(peer), project, version)


async def sign(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Take a member's signature under an agreement."""
    parts = (_text(body, one) for one in ("project", "digest", "signature"))
    await services.agreements.add_signature(_organisation(peer), *parts)
    return {}


async def listed(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Return the ids of a project's settlements."""
    project = _text(body, "project")
    found = await services.settlements.of_agent(_organisation(peer), project)
    return {"settlements": list(found)}


async def told(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Return a settlement and a page of its deeds."""
    key, start = _text(body, "settlement"), _number(body, "start")
    return await services.settlements.told(_organisation(peer), key, start)


async def tell(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Take a deed that a member signed; return the centre's receipt."""
    return {"receipt": await services.settlements.tell(_organisation(peer), body.get("deed"))}


async def record(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Return a part of a job's record."""
    job, offset = _text(body, "job"), _number(body, "offset")
    return await services.job_records.part(agent_principal(_organisation(peer)), job, offset)


Verb = Callable[[Services, PeerIdentity, Body], Awaitable[JSON]]
REVENUE_VERBS: Final[Mapping[str, Verb]] = {
    "revenue.get": agreement,
    "revenue.sign": sign,
    "settlement.list": listed,
    "settlement.get": told,
    "settlement.tell": tell,
    "settlement.record": record,
}


def _organisation(peer: PeerIdentity) -> str:
    if peer.party == ENCLAVE:
        raise SecureFlowError("forbidden", "An enclave does not act for an organisation.")
    return peer.party


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise SecureFlowError(
            "invalid_request",
            Text(
                "{name} must be a string of at most {longest} characters.",
                name=name,
                longest=_LONGEST,
            ),
        )
    return value


def _number(body: Body, name: str) -> int:
    value = body.get(name, 0)
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise SecureFlowError("invalid_request", Text("{name} must be a number.", name=name))
    return value
