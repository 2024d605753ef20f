"""How this agent reaches its peers: through the centre, or directly where its owner says so."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from secureflow.adapters.link import CredentialFiles
from secureflow.adapters.link.peerdirect import DirectDialler, DirectListener
from secureflow.adapters.link.peerlink import Dialling, RelayDialler
from secureflow.agent.settings import AgentSettings
from secureflow.kit.clock import system_clock


@contextlib.asynccontextmanager
async def peer_links(settings: AgentSettings) -> AsyncIterator[Dialling]:
    """Return what dials peers; listens for them meanwhile if the owner says where.

    Raises:
        SecureFlowError: `address_unavailable`.
    """
    credentials = CredentialFiles(settings.directory, settings.key_files)
    relay = RelayDialler(settings.link, lambda: credentials.at(system_clock()))
    peers = settings.peers
    if not peers.listen:
        yield DirectDialler(relay, peers.addresses, None)
        return
    listener = DirectListener(peers.listen)
    await listener.start()
    try:
        yield DirectDialler(relay, peers.addresses, listener)
    finally:
        await listener.stop()
