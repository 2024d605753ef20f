"""Opens the places in an agent's settings, each with the driver of its make and its own key.

A make's driver is loaded only where a place of it is named: an agent without places needs none of
what they need.
"""

from __future__ import annotations

from collections.abc import Mapping

from secureflow.agent.anchorsettings import AnyPlace, EvmPlace, FabricPlace, FilePlace
from secureflow.agent.job.context import AgentContext
from secureflow.application.ports.anchor import Anchor
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def open_places(context: AgentContext) -> Mapping[AnyPlace, Anchor]:
    """Return each place in the settings with what opens it; nothing is dialled yet.

    Raises:
        SecureFlowError: `anchor_driver_missing`, `anchor_refused`, `key_…`.
    """
    return {one: _opened(one, context) for one in context.settings.anchors}


def _opened(place: AnyPlace, context: AgentContext) -> Anchor:
    match place:
        case EvmPlace():
            return _evm(place, context)
        case FabricPlace():
            return _fabric(place, context)
        case FilePlace():
            return _file(place, context)


def _evm(place: EvmPlace, context: AgentContext) -> Anchor:
    raise _missing(place.make)


def _fabric(place: FabricPlace, context: AgentContext) -> Anchor:
    raise _missing(place.make)


def _file(place: FilePlace, context: AgentContext) -> Anchor:
    raise _missing(place.make)


def _missing(make: str) -> SecureFlowError:
    return SecureFlowError(
        "anchor_driver_missing",
        Text("This installation has no driver for places of the make {make}.", make=make),
        "Install SecureFlow with the extra of that make, or take the place out of anchors.",
    )
