"""What a job's channels have carried counts over restarts of an agent, however it ends."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB
from peers.channels import KEYS, Carrier, Pair, scope
from peers.psi_world import PsiAgentWorld

from secureflow.adapters.link.peerchannel import STEP, ContentMeter
from secureflow.agent.peers.channels import PeerChannels
from secureflow.agent.record.carriedbytes import CarriedBytes
from secureflow.application.ports.peers import MAX_CONTENT, ChannelLimits
from secureflow.kit.errors import InfrastructureError, SecureFlowError


class Kept:
    """`Carried` that outlasts the agent."""

    def __init__(self) -> None:
        self.bytes = 0
        self.writes = 0
        self.fails: SecureFlowError | None = None

    def of(self, job: str) -> int:
        return self.bytes

    def reserve(self, job: str, total: int) -> None:
        if self.fails is not None:
            raise self.fails
        self.writes += 1
        self.bytes = total


@pytest.mark.parametrize("most", [1 << 20, 256 << 20, MAX_CONTENT])
def test_what_is_carried_is_kept_before(most: int) -> None:
    """Whenever a process dies, the next one begins with no less, and with little more."""
    kept, used, step = Kept(), 0, max(STEP, most // 64)
    for process in range(1, 4):
        meter = ContentMeter(kept.of("job"), partial(kept.reserve, "job"))
        meter.exceeds("b", 0, most)
        for number in range(300):
            used += most // 1000
            assert used <= kept.bytes  # it is counted when it is there
            meter.exceeds("bc"[number % 2], most // 1000, most)
            assert used + step <= kept.bytes <= used + 2 * step * process
    assert kept.writes < 3 * 64
    assert not ContentMeter(most - 1).exceeds("b", 1, most)
    assert ContentMeter(most).exceeds("b", 1, most)


def agents(kept: dict[str, Kept]) -> Pair:
    """Return two agents that have just started."""
    carrier = Carrier()
    made = Pair(carrier.of("bank-a"), carrier.of("bank-b"))
    made.ends = [
        PeerChannels(one, KEYS[one], carrier.of(one), own) for one, own in kept.items()
    ]  # fmt: skip
    return made


async def test_a_limit_of_bytes_outlasts_the_agents() -> None:
    limits, kept, began = ChannelLimits(bytes=12 << 20), {"bank-a": Kept(), "bank-b": Kept()}, 0

    async def used(pair: Pair) -> None:
        a, b = await pair.open(scope(attempt=began), limits=limits)
        await asyncio.gather(a.send(bytes(2 << 20)), b.receive())

    ended: BaseException | None = None
    while ended is None:
        began, pair = began + 1, agents(kept)
        (ended,) = await asyncio.gather(used(pair), return_exceptions=True)
        await pair.stop()
    assert isinstance(ended, SecureFlowError)
    assert ended.code in {"peer_limit", "peer_broken"}
    assert 3 <= began <= 6


async def test_what_cannot_be_kept_is_not_carried() -> None:
    kept = {"bank-a": Kept(), "bank-b": Kept()}
    pair = agents(kept)
    a, b = await pair.open(limits=ChannelLimits(bytes=64 << 20))
    kept["bank-a"].fails = InfrastructureError("disk_full", "no room", "make some")
    receiving = asyncio.create_task(b.receive())
    with pytest.raises(SecureFlowError) as caught:
        await a.send(bytes(8 << 20))
    assert caught.value.code == "disk_full"
    assert a.sent <= kept["bank-a"].bytes
    with pytest.raises(SecureFlowError) as theirs:
        await receiving
    assert theirs.value.code == "peer_broken"
    await pair.stop()


async def test_the_record_remembers_it_until_the_job_is_over(tmp_path: Path) -> None:
    def carried(world: PsiAgentWorld) -> Any:
        return world.assembly.context.channels._carried

    world = PsiAgentWorld(tmp_path / "agent")
    carried(world).reserve(JOB, 5)
    assert carried(world).of(JOB) == 0  # it has no such job
    await world.consented()
    carried(world).reserve(JOB, 5)
    world.reopen()
    assert carried(world).of(JOB) == 5
    assert carried(world).of("job_other") == 0
    await world.assembly.context.channels.stop()
    carried(world).reserve(JOB, 7)
    assert carried(world).of(JOB) == 7
    await world.finished("failed")
    carried(world).reserve(JOB, 9)
    assert carried(world).of(JOB) == 0


async def test_a_damaged_count_is_named(tmp_path: Path) -> None:
    world = PsiAgentWorld(tmp_path / "agent")
    with world.store.transaction():
        world.store.set_fact(f"carried/{JOB}", "many")
    with pytest.raises(SecureFlowError) as caught:
        CarriedBytes(world.store).of(JOB)
    assert caught.value.code == "record_damaged"
