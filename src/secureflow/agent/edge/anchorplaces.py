"""Opens the places in an agent's settings, each with the driver of its make and its own key.

A make's driver is loaded only where a place of it is named: an agent without places needs none of
what they need. Nothing is dialled here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from secureflow.agent.anchorsettings import AnyPlace, EvmPlace, FabricPlace, FilePlace
from secureflow.agent.job.context import AgentContext
from secureflow.agent.owner.engines import OwnEngines
from secureflow.agent.settings import AgentSettings
from secureflow.application.ports.anchor import Anchor
from secureflow.kit.canonical import b64decode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import failed_at
from secureflow.kit.text import Text

FABRIC: Final = "fabric"
"""The environment in which the gateway of a peer is spoken to."""
FABRIC_IDENTITY: Final = "fabric-identity"
"""The purpose of the key of an identity on a channel, where it is wrapped."""


def open_places(context: AgentContext) -> Mapping[AnyPlace, Anchor]:
    """Return each place in the settings with what opens it.

    Raises:
        SecureFlowError: `missing_extra`, `anchor_refused`, `key_…`.
    """
    return {one: _opened(one, context) for one in context.settings.anchors}


def chain_key(settings: AgentSettings, chain: int) -> Path:
    """Return where the key of the account on a chain is."""
    return settings.anchor_keys / f"evm-{chain}.key"


def _opened(place: AnyPlace, context: AgentContext) -> Anchor:
    match place:
        case EvmPlace():
            return open_evm_place(place, context.settings)
        case FabricPlace():
            return _fabric(place, context.settings)
        case FilePlace():
            return _file(place, context)


def open_evm_place(place: EvmPlace, settings: AgentSettings) -> Anchor:
    """Return a contract on a chain as the agent's account sees it; the account is made if missing.

    Raises:
        SecureFlowError: `missing_extra`, `key_…`.
    """
    from secureflow.adapters.anchors.evm.opening import open_account, open_evm
    from secureflow.adapters.anchors.evm.settings import EvmSettings

    path = chain_key(settings, place.chain)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    account = open_account(path, settings.key_files)
    return open_evm(
        EvmSettings(
            place.url,
            place.chain,
            place.contract.lower(),
            place.confirmations,
            place.fees,
            place.price,
            most_fee=place.most_fee,
            authority=place.ca,
        ),
        account,
    )


def _fabric(place: FabricPlace, settings: AgentSettings) -> Anchor:
    from secureflow.adapters.anchors.fabric.driver import FabricAnchor, FabricKeys
    from secureflow.adapters.anchors.fabric.driver import FabricPlace as Peer

    try:
        ca, certificate = place.ca.read_bytes(), place.certificate.read_bytes()
    except OSError as error:
        raise SecureFlowError(
            "anchor_refused",
            Text("A file of the place {place} cannot be read: {reason}.", place=place.name,
                 reason=failed_at(str(error.filename), error)),
            "Correct ca and certificate under anchors in agent.yaml.",
        ) from error  # fmt: skip
    where = Peer(
        place.gateway, ca, place.channel, place.chaincode, place.msp, certificate, place.host
    )
    python = OwnEngines(settings.directory).interpreter(FABRIC)
    keys = settings.key_files
    return FabricAnchor(
        where, python.ready, lambda: FabricKeys(keys.read(place.key, FABRIC_IDENTITY))
    )


def _file(place: FilePlace, context: AgentContext) -> Anchor:
    from secureflow.adapters.anchors.file import FileAnchor

    keeper = b64decode(place.keeper, 64)
    return FileAnchor(context.key, keeper, place.url, context.clock, place.ca)
