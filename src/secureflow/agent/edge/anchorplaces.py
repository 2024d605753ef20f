"""Opens the places in an agent's settings, each with the driver of its make and its own key.

A make's driver is loaded only where a place of it is named: an agent without places needs none of
what they need. Nothing is dialled here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from secureflow.agent.anchorsettings import AnyPlace, EvmPlace, FabricPlace, FilePlace
from secureflow.agent.job.context import AgentContext
from secureflow.agent.settings import AgentSettings
from secureflow.application.ports.anchor import Anchor
from secureflow.kit.canonical import b64decode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def open_places(context: AgentContext) -> Mapping[AnyPlace, Anchor]:
    """Return each place in the settings with what opens it.

    Raises:
        SecureFlowError: `anchor_driver_missing`, `missing_extra`, `anchor_refused`, `key_…`.
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
            return _fabric(place, context)
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
            authority=place.ca,
        ),
        account,
    )


def _fabric(place: FabricPlace, context: AgentContext) -> Anchor:
    del context
    raise _missing(place.make)


def _file(place: FilePlace, context: AgentContext) -> Anchor:
    from secureflow.adapters.anchors.file import FileAnchor

    keeper = b64decode(place.keeper, 64)
    return FileAnchor(context.key, keeper, place.url, context.clock, place.ca)


def _missing(make: str) -> SecureFlowError:
    return SecureFlowError(
        "anchor_driver_missing",
        Text("This installation has no driver for places of the make {make}.", make=make),
        "Install SecureFlow with the extra of that make, or take the place out of anchors.",
    )
