"""Intersections of three at one agent: whose turn it is, and who is named if it never comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from peers.agent_world import ME
from peers.engines import MemoryChannel
from peers.links import until
from peers.psi_world import PEER, PsiAgentWorld

from secureflow.agent.kinds import psi_turns
from secureflow.agent.kinds.psi_turns import await_turn, give_turns
from secureflow.application.ports.mpcengine import EngineDeadlines
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_psi_agent import ready, refused

THIRD = "bank-c"
PEERS = (PEER, THIRD)
SPU = "spu"


def channels() -> tuple[dict[str, MemoryChannel], dict[str, MemoryChannel]]:
    """Return the receiver's ends, and those of the others."""
    near = {peer: MemoryChannel(peer) for peer in PEERS}
    far = {peer: MemoryChannel(ME) for peer in PEERS}
    for peer in PEERS:
        near[peer].join(far[peer])
    return near, far


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psi_turns, "BEAT", 0.02)


@pytest.fixture
def impatient(often: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psi_turns, "PATIENCE", 0.6)  # what is honest here answers at once


async def ended(work: Awaitable[Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await work
    return caught.value


async def silent(_: MemoryChannel) -> None:
    await asyncio.Event().wait()


async def closing(channel: MemoryChannel) -> None:
    await channel.receive()
    await channel.close()


async def cutting(channel: MemoryChannel) -> None:
    await channel.receive()
    channel.cut()


async def talking(channel: MemoryChannel) -> None:
    await channel.receive()
    await channel.send(b'{"say": "turn"}')


async def no_json(channel: MemoryChannel) -> None:
    await channel.receive()
    await channel.send(b"[" * 5000)


async def late(channel: MemoryChannel) -> None:
    """Answer once, and no more."""
    await channel.receive()
    await channel.send(b'{"say":"here"}')
    await asyncio.Event().wait()


async def test_one_runs_after_the_other_and_the_last_one_waits(often: None) -> None:
    near, far = channels()
    order: list[str] = []

    async def run(peer: str) -> None:
        order.append(f"{peer} begins")
        if peer == PEER:
            await until(lambda: near[THIRD].sent >= 3 * len(b'{"say":"wait"}'))
        order.append(f"{peer} ends")

    async def waits(peer: str) -> None:
        await await_turn(SPU, far[peer])
        order.append(f"{peer} starts")

    await asyncio.gather(give_turns(SPU, near, run), *map(waits, reversed(PEERS)))
    assert [one for one in order if one.startswith(PEER)][-1] == f"{PEER} ends"
    assert order.index(f"{THIRD} begins") > order.index(f"{PEER} ends")
    assert order.index(f"{THIRD} starts") > order.index(f"{PEER} ends")


@pytest.mark.parametrize(
    ("does", "code"),
    [
        (silent, "peer_absent"), (late, "peer_absent"), (closing, "peer_broken"),
        (cutting, "peer_broken"), (talking, "peer_broken"), (no_json, "peer_broken"),
    ],
)  # fmt: skip
async def test_a_third_that_is_gone_ends_the_others_turn(
    does: Callable[[MemoryChannel], Awaitable[None]], code: str, impatient: None
) -> None:
    near, far = channels()
    running = asyncio.Event()

    async def run(peer: str) -> None:
        assert peer == PEER
        try:
            await asyncio.Event().wait()  # an engine for hours
        finally:
            running.set()

    others = [asyncio.ensure_future(await_turn(SPU, far[PEER])),
              asyncio.ensure_future(does(far[THIRD]))]  # fmt: skip
    error = await ended(give_turns(SPU, near, run))
    assert error.code == code
    if "party" in error.details:
        assert error.details["party"] == THIRD
    assert running.is_set(), "the engine of the others ends as well"
    for one in others:
        one.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.mark.parametrize(
    ("does", "code"), [(silent, "peer_absent"), (no_json, "peer_broken"), (talking, "")]
)
async def test_whoever_waits_names_a_receiver_that_is_gone(
    does: Callable[[MemoryChannel], Awaitable[None]], code: str, impatient: None
) -> None:
    near, far = channels()
    await far[PEER].send(b"{}")  # what the actors above wait for
    acting = asyncio.ensure_future(does(near[PEER]))
    if code:
        error = await ended(await_turn(SPU, far[PEER]))
        assert (error.code, error.details["party"]) == (code, ME)
    else:
        await await_turn(SPU, far[PEER])
    acting.cancel()
    await asyncio.gather(acting, return_exceptions=True)


async def with_peers(world: PsiAgentWorld, work: Awaitable[Any], receiver: bool) -> Any:
    """Run with peers at the far ends of the channels, which take turns as agents do."""

    async def far(peer: str) -> None:
        await until(lambda: peer in world.links_to.far)
        channel = world.links_to.far[peer]
        if receiver:
            await await_turn(SPU, channel)
        else:
            await give_turns(SPU, {ME: channel}, _nothing)

    tasks = [asyncio.ensure_future(far(one)) for one in (PEERS if receiver else (PEER,))]
    try:
        return await work
    finally:
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _nothing(_: str) -> None:
    return None


async def test_the_receiver_keeps_what_all_three_have(tmp_path: Path) -> None:
    world = await ready(tmp_path, peers=PEERS, minimum=1)
    world.engine.of = {
        PEER: ("13800138000", "13700137000"), THIRD: ("13700137000", "13800139000"),
    }  # fmt: skip
    await world.offer()
    reply = await with_peers(world, world.run(count=2), receiver=True)
    assert reply["figures"] == {"keys": 3, "matched": 1}
    assert pq.read_table(world.file).to_pylist() == [{"row": 4, "phone": "+86 13700137000"}]
    assert [one.parties for one in world.engine.jobs] == [(ME, PEER), (ME, THIRD)]
    assert {one.receivers for one in world.engine.jobs} == {(ME,)}
    assert set(reply["channels"]) == set(PEERS)


async def test_the_minimum_is_of_what_all_have(tmp_path: Path) -> None:
    world = await ready(tmp_path, peers=PEERS, minimum=2)
    world.engine.of = {
        PEER: ("13800138000", "13700137000"), THIRD: ("13700137000", "13800139000"),
    }  # fmt: skip
    await world.offer()
    error = await refused(with_peers(world, world.run(count=2), receiver=True))
    assert error.code == "intersection_too_small"
    assert not world.file.exists()


@pytest.mark.parametrize(("told", "left"), [(False, 960), (True, 920)])
async def test_of_three_an_owner_counts_whoever_learns_of_its_keys(
    tmp_path: Path, told: bool, left: int
) -> None:
    world = await ready(tmp_path, peers=PEERS, receiver=PEER, tells_size=told)
    await world.offer()
    await with_peers(world, world.run(count=40), receiver=False)
    assert world.assembly.context.probing.left(world.settings.datasets[0]) == left
    assert set(world.links_to.far) == {PEER}
    (job,) = world.engine.jobs
    assert job.deadlines.connect == EngineDeadlines.connect, "an absent peer is named in seconds"
    assert 0 < job.deadlines.total <= world.spec.limits.seconds
