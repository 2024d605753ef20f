"""A platform whose agents are hosted, many to a process (`benchmarks.crowd`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import httpx

from benchmarks.crowd import crowd
from secureflow.demo.platform import Platform
from secureflow.sdk import Client
from secureflow.sdk.connection import trust

AGENTS_PER_HOST = 32
"""So many share an event loop and still say every few seconds that they are there."""
ALLOW_ALL = "permit (principal, action, resource);"


class Hosted(Platform):
    """Server and enclave as processes of their own; the agents share `hosts` processes.

    Args:
        directory: as for `Platform`.
        owners: as for `Platform`.
        hosts: how many processes host the agents; 0: one for every `AGENTS_PER_HOST`.
        nice: how far they step back for the others.
    """

    def __init__(
        self, directory: Path, owners: Mapping[str, str], *, hosts: int, nice: int
    ) -> None:
        super().__init__(directory, owners, policy=ALLOW_ALL)
        self._nice = nice
        hosts = hosts or -(-len(owners) // AGENTS_PER_HOST)
        self.crowds = [f"crowd-{n}" for n in range(min(hosts, len(owners)))]

    def client(self, party: str = "") -> Client:
        """Return a logged-in client; each owner calls from an address of its own.

        The server paces logins by address, and owners are on machines of their own.
        """
        if not party:
            return super().client()
        place = 2 + list(self.parties).index(party)
        transport = httpx.HTTPTransport(
            verify=trust(self.ca), local_address=f"127.0.{place >> 8}.{place & 255}"
        )
        client = Client(self.url, transport=transport)
        client.login(party, self.parties[party].password)
        return client

    def ports(self) -> set[int]:
        """Return the ports of the server's link and of the enclave's uplink."""
        server = json.loads((self.server / "ready.json").read_text())
        enclave = json.loads((self.enclave / "ready.json").read_text())
        return {int(facts.rpartition(":")[2]) for facts in (server["link"], enclave["uplink"])}

    def broken_links(self) -> int:
        """Return how often a link broke: what is open is then sent again, which costs bytes."""
        return (self.directory / "logs" / "server.log").read_text().count('"link_closed"')

    def _start_agents(self) -> None:
        configs = [owner.config for owner in self.parties.values()]
        for n, name in enumerate(self.crowds):
            share = configs[n :: len(self.crowds)]
            log = self.directory / "logs" / f"{name}.log"
            process = crowd(self.directory / name, share, nice=self._nice, log=log)
            self.processes[name] = process
            process.start(self.environment)
