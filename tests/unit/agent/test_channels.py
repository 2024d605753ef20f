"""An agent's channels belong to a job, and end with it; where it dials is its owner's word."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers.agent_world import JOB, ME, World

from secureflow.adapters.link.peerdirect import DirectDialler
from secureflow.agent.edge.peerlinks import peer_links
from secureflow.agent.settings import PeerSettings
from secureflow.application.ports.peers import ChannelLimits
from secureflow.engines.peers.statements import ChannelScope, check_statement
from secureflow.kit.errors import SecureFlowError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "agent")


async def test_the_channels_of_a_job_end_with_it(world: World) -> None:
    await world.admitted()
    channels = world.assembly.context.channels
    keys = {party: key.public for party, key in world.keys.items()}
    peer = next(party for party in keys if party != ME)
    scope = ChannelScope(JOB, "5" * 64, 1, "9" * 64, keys)
    offered = channels.offer(scope, [peer])
    assert check_statement(offered[peer], scope, ME, peer)
    assert channels.offer(scope, [peer]) == offered
    await world.ask("finish", world.body(outcome="failed", model=None, head=world.head()))
    with pytest.raises(SecureFlowError) as caught:
        await channels.open(scope, {peer: {}}, deadline=1.0, limits=ChannelLimits())
    assert caught.value.code == "attempt_lost"


async def test_peers_are_dialled_where_the_owner_says(world: World) -> None:
    settings = world.settings.model_copy(
        update={"peers": PeerSettings(addresses={"bank-b": "bank-b.example:9443"})}
    )
    async with peer_links(settings) as dialling:
        assert isinstance(dialling, DirectDialler)
        assert dialling._addresses == {"bank-b": "bank-b.example:9443"}
        assert dialling._listener is None


@pytest.mark.parametrize("address", ["unix:/run/x", "bank-b", "bank-b:0", "bank-b:9443/x"])
def test_only_a_host_and_a_port_are_an_address(address: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        PeerSettings(addresses={"bank-b": address})
