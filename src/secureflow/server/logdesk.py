"""What parties show the centre of its own log, and what it tells of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from secureflow.adapters.link import PeerIdentity
from secureflow.application.organisations import ENCLAVE
from secureflow.engines.ledger.setback import MAX_SHOWN
from secureflow.kit.errors import SecureFlowError
from secureflow.server.services import Services

JSON = Any
Body = Mapping[str, JSON]
MAX_NOTE: Final = 2048
"""Characters of a head without cosignatures; an origin has at most 255."""
_HASH: Final = re.compile(r"[0-9a-f]{64}")


async def greeted(services: Services, peer: PeerIdentity, body: Body) -> None:
    """Judge the newest head that an agent brings along, before anything is asked of it."""
    if peer.party != ENCLAVE and "head" in body:
        head = _heads([body["head"]]) if body["head"] != "" else []
        await services.guard.shown(peer.party, head)


async def show(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Judge the heads that an agent holds; say how the log stands and why it is held.

    Raises:
        SecureFlowError: `forbidden`, `invalid_request`.
    """
    if peer.party == ENCLAVE:
        raise SecureFlowError("forbidden", "An enclave is no witness of the log.")
    await services.guard.shown(peer.party, _heads(body.get("heads")), _places(body.get("places")))
    return await standing(services)


async def standing(services: Services) -> dict[str, JSON]:
    """Return the log's newest head, and why it is held if it is."""
    why = await services.guard.why()
    return {"note": await services.ledger.head(), "held": why and why.as_json()}


def _heads(value: JSON) -> list[str]:
    if not isinstance(value, list) or len(value) > MAX_SHOWN:
        raise _invalid(f"heads is no list of at most {MAX_SHOWN}")
    if not all(isinstance(one, str) and len(one) <= MAX_NOTE for one in value):
        raise _invalid("a head is no signed note without cosignatures")
    return value


def _places(value: JSON) -> list[tuple[str, int]]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_SHOWN:
        raise _invalid(f"places is no list of at most {MAX_SHOWN}")
    return [_place(one) for one in value]


def _place(value: JSON) -> tuple[str, int]:
    if isinstance(value, list) and len(value) == 2:
        leaf, index = value
        named = isinstance(leaf, str) and _HASH.fullmatch(leaf) is not None
        if named and type(index) is int and 0 <= index < 1 << 53:
            return leaf, index
    raise _invalid("a place is no leaf hash with its index")


def _invalid(reason: str) -> SecureFlowError:
    return SecureFlowError("invalid_request", f"What is shown of the log is malformed: {reason}.")
