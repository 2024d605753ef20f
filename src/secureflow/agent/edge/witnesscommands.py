"""What the owner sees of the agent's own address: whom it asks, and how that goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from secureflow.agent.edge.control import Command
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.hearing import FACT as HEARD
from secureflow.agent.witness.hearing import GOSSIP, WITNESSES, waiting_heads
from secureflow.agent.witnesssettings import WitnessSettings
from secureflow.engines.ledger.notes import noted_size
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.agent.keeper.parts import Witnessing


class WitnessCommands:
    """The command.

    Args:
        settings: that are in force.
        store: the agent's record.
        parts: what runs; None if the owner set nothing.
    """

    def __init__(
        self, settings: WitnessSettings, store: RecordStore, parts: Witnessing | None
    ) -> None:
        self._settings = settings
        self._store = store
        self._parts = parts

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {"witness.show": self.show}

    async def show(self) -> dict[str, JSON]:
        """Return the address, partners, witnesses, heads that wait for a proof, and the keeper."""
        return {
            "listen": self._settings.listen or "",
            "port": self._parts.port if self._parts else None,
            "logs": [one.origin for one in self._settings.logs],
            "waiting": [noted_size(note) for note in waiting_heads(self._store.fact(HEARD))],
            "gossip": [self._partner(name) for name in self._settings.gossip],
            "witnesses": [self._witness(one.name) for one in self._settings.witnesses],
            "keeper": self._keeper(),
        }

    def _partner(self, name: str) -> dict[str, JSON]:
        told: Mapping[str, Any] = (self._store.fact(GOSSIP) or {}).get(name) or {}
        trouble = told.get("trouble") or {}
        return {"party": name, "at": told.get("at", 0), "trouble": trouble.get("code", "")}

    def _witness(self, name: str) -> dict[str, JSON]:
        told: Mapping[str, Any] = (self._store.fact(WITNESSES) or {}).get(name) or {}
        return {
            "name": name,
            "size": told.get("size", 0),
            "at": told.get("at", 0),
            "trouble": told.get("trouble") or "",
            "line": told.get("line", ""),
        }

    def _keeper(self) -> dict[str, JSON] | None:
        anchors = self._parts.anchors if self._parts else None
        return None if anchors is None else anchors.standing()
