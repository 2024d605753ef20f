"""The verb with which an agent tells the centre what it anchored."""

from __future__ import annotations

from collections.abc import Mapping

from secureflow.adapters.link import PeerIdentity
from secureflow.application.organisations import ENCLAVE
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.server.services import Services


async def tell_anchors(services: Services, peer: PeerIdentity, body: Mapping[str, JSON]) -> JSON:
    """Keep an organisation's signed statements.

    Raises:
        SecureFlowError: `forbidden`, `malformed_anchor`.
    """
    if peer.party == ENCLAVE:
        raise SecureFlowError("forbidden", "An enclave anchors nothing.")
    return {"kept": await services.anchors.take(peer.party, body.get("statements"))}
