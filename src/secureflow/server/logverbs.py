"""Verbs about the log: parties show the centre's own heads; it reports on log and ended jobs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final

from secureflow.adapters.link import PeerIdentity
from secureflow.application.organisations import ENCLAVE
from secureflow.application.restored import restore_times
from secureflow.domain.charter import SignedCharter
from secureflow.engines.ledger.leaves import parse_leaf
from secureflow.engines.ledger.setback import MAX_SHOWN
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.server.services import Services

Body = Mapping[str, JSON]
MAX_NOTE: Final = 2048
"""Characters of a head without cosignatures; an origin has at most 255."""
MAX_AGAIN: Final = 100
"""Leaves that an agent may resubmit at once, and jobs that it may ask about (`overdue.MOST`)."""
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_JOB: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


async def judge_greeting(services: Services, peer: PeerIdentity, body: Body) -> None:
    """Judge the newest head in an agent's greeting, before it gets requests."""
    if peer.party != ENCLAVE and "head" in body:
        head = _heads([body["head"]]) if body["head"] != "" else []
        settled = not await _newer(services, body.get("charter"))
        await services.guard.shown(peer.party, head, settled=settled)


async def show(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Judge the heads that an agent holds; return the log's status and why it is held.

    Raises:
        SecureFlowError: `forbidden`, `invalid_request`.
    """
    if peer.party == ENCLAVE:
        raise SecureFlowError("forbidden", "An enclave is not a witness of the log.")
    heads, places = _heads(body.get("heads")), _places(body.get("places"))
    settled = not await _newer(services, body.get("charter"))
    await services.guard.shown(peer.party, heads, places, settled=settled)
    current = await services.charters.current()
    return {**await log_status(services), "charter": current.charter.version if current else 0}


async def adopt_charter(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Adopt, from a member's agent, a version of the charter that this centre has forgotten.

    Raises:
        SecureFlowError: `forbidden`, `malformed_charter`, `charter_mismatch`, `charter_not_signed`.
    """
    if peer.party == ENCLAVE:
        raise SecureFlowError("forbidden", "An enclave is not a member.")
    signed = await asyncio.to_thread(SignedCharter.from_json, body.get("charter"))
    await services.charters.adopt_forgotten(peer.party, signed)
    return {}


async def prove(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Prove that a log of `to` entries begins with one of `from`, and contains the caller's leaves.

    Raises:
        SecureFlowError: `invalid_request`, `not_found`.
    """
    del peer
    old, new = _size(body.get("from")), _size(body.get("to"))
    if old > new:
        raise _invalid("from is greater than to")
    proof = await services.ledger.consistency(old, new) if 0 < old < new else []
    places = _places(body.get("places"))
    inclusion = [
        [node.hex() for node in await services.ledger.inclusion(index, new)]
        for _, index in places
        if index < new
    ]
    return {"consistency": [node.hex() for node in proof], "inclusion": inclusion}


async def resubmit(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Accept an organisation's leaves of an earlier origin again, and return its jobs' states.

    Raises:
        SecureFlowError: `forbidden`, `invalid_request`, `leaf_forged`, `malformed_leaf`.
    """
    if peer.party == ENCLAVE:
        raise SecureFlowError("forbidden", "An enclave has no leaves to resubmit.")
    leaves, jobs = body.get("leaves", []), _jobs(body.get("jobs", []))
    if not isinstance(leaves, list) or len(leaves) > MAX_AGAIN:
        raise _invalid(
            Text("leaves must be a list of at most {max_again} entries", max_again=MAX_AGAIN)
        )
    taken = await services.continuing.take_resubmitted(peer.party, leaves)
    return {"taken": taken, "jobs": await services.continuing.states(peer.party, jobs)}


async def ends(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Ask a party to finish those of its open jobs that have ended; list them for an enclave.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    if peer.party == ENCLAVE:  # it does not sign ends of jobs: it only forgets
        return {"over": await services.overdue.ended(_jobs(body.get("jobs")))}
    await services.overdue.ask_to_finish(peer.party, _jobs(body.get("jobs")))
    return {}


async def own_leaves(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Return an organisation's newest leaves, which its record must contain."""
    if peer.party == ENCLAVE:
        raise SecureFlowError("forbidden", "An enclave has no leaves under its own name.")
    limit = min(_size(body.get("limit", MAX_SHOWN)), MAX_SHOWN)
    found = await services.ledger.newest_of(peer.party, limit)
    leaves = [{"index": one.index, "leaf": parse_leaf(one.data).json()} for one in found]
    return {"leaves": leaves}


async def log_status(services: Services) -> dict[str, JSON]:
    """Return the log's newest head, why it is held, if so, and when it was restored, if ever."""
    why = await services.guard.hold_error()
    return {
        "note": await services.ledger.head(),
        "held": why and why.as_json(),
        "restored": await restore_times(services.begin),
    }


async def _newer(services: Services, value: JSON) -> bool:
    """Tell whether a party has pinned a newer charter, or another one of the same version."""
    head = value if isinstance(value, dict) else {}
    version, digest = head.get("version"), head.get("digest")
    if type(version) is not int or not isinstance(digest, str):
        return False  # it has pinned none, or its version does not report it
    current = await services.charters.current()
    if current is None:
        return True
    here = current.charter
    return version > here.version or (version == here.version and digest != here.digest)


def _jobs(value: JSON) -> list[str]:
    if not isinstance(value, list) or len(value) > MAX_AGAIN:
        raise _invalid(
            Text("jobs must be a list of at most {max_again} entries", max_again=MAX_AGAIN)
        )
    if not all(isinstance(job, str) and _JOB.fullmatch(job) for job in value):
        raise _invalid("a job's id is malformed")
    return value


def _heads(value: JSON) -> list[str]:
    if not isinstance(value, list) or len(value) > MAX_SHOWN:
        raise _invalid(
            Text("heads must be a list of at most {max_shown} entries", max_shown=MAX_SHOWN)
        )
    if not all(isinstance(one, str) and len(one) <= MAX_NOTE for one in value):
        raise _invalid("a head must be a signed note without cosignatures")
    return value


def _places(value: JSON) -> list[tuple[str, int]]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_SHOWN:
        raise _invalid(
            Text("places must be a list of at most {max_shown} entries", max_shown=MAX_SHOWN)
        )
    return [_place(one) for one in value]


def _place(value: JSON) -> tuple[str, int]:
    if isinstance(value, list) and len(value) == 2:
        leaf, index = value
        named = isinstance(leaf, str) and _HASH.fullmatch(leaf) is not None
        if named and type(index) is int and 0 <= index < 1 << 53:
            return leaf, index
    raise _invalid("a place must be a leaf hash with its index")


def _size(value: JSON) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise _invalid("a size must be an integer")
    return value


def _invalid(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_request", Text("The message about the log is malformed: {reason}.", reason=reason)
    )
