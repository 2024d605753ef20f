"""Agents that compare heads: each on the centre that it is shown, all under one charter."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from peers.agent_world import World

from secureflow.agent.keeper.app import ListenerApp
from secureflow.agent.keeper.checkpoints import Checkpoints
from secureflow.agent.keeper.gossip import Gossip, Partner
from secureflow.agent.witness.hearing import Hearing
from secureflow.agent.witnesssettings import WitnessedLog
from secureflow.kit.boundedhttp import BoundedHttp

URL = "https://agent.example"


class Agent:
    """An agent with its address; `world` is what its centre shows it."""

    def __init__(self, folder: Path, party: str, logs: tuple[WitnessedLog, ...] = ()) -> None:
        self.party = party
        self.world = World(folder, me=party)
        self.logs = logs
        self.open()

    def reopen(self) -> None:
        """Kill the agent and start it again."""
        self.world.reopen()
        self.open()

    def open(self) -> None:
        context = self.world.assembly.context
        self.store, self.witness = context.store, context.witness
        self.hearing = Hearing(self.witness, self.store, context.charter)
        self.checkpoints = Checkpoints(
            self.witness,
            self.store,
            context.charter.pinned,
            context.key,
            self.party,
            context.clock,
            self.logs,
            context.settings.evidence,
        )
        self.gossip = Gossip(
            self.witness, self.hearing, context.charter, self.store, self.party, (), context.clock
        )
        endpoints = [*self.checkpoints.endpoints(), *self.gossip.endpoints()]
        self.app = ListenerApp(endpoints, 1_000_000, time.monotonic)

    async def seen(self, size: int, salt: str = "") -> None:
        """Let the centre's log grow, and have the agent cosign its head."""
        tree = self.world.tree
        while tree.size < size:
            tree.append(f"{salt}{tree.size}".encode())
        await self.world.ask("cosign", {"head": self.world.head(), "job": ""})

    def partner(self) -> Partner:
        """Return how others reach it."""
        return Partner(self.party, self.http())

    def http(self) -> BoundedHttp:
        return BoundedHttp(URL, transport=httpx.ASGITransport(self.app))

    @property
    def alarm(self) -> str:
        found = self.store.fact("alarm")
        return "" if found is None else str(found["code"])


def saying(status: int, body: bytes, media: str = "application/json") -> BoundedHttp:
    """Return what asks somebody who answers this, whatever is asked."""

    async def parts() -> AsyncIterator[bytes]:
        yield body

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={"content-type": media}, content=parts())

    return BoundedHttp(URL, transport=httpx.MockTransport(answer))
