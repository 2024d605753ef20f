"""The Bus contract: a listener hears at once, after every publish, and merged when it is slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from secureflow.adapters.messaging import InProcessBus
from secureflow.application.ports.bus import Bus


@pytest.fixture(params=["inprocess"])
def bus(request: pytest.FixtureRequest) -> Bus:
    return {"inprocess": InProcessBus}[request.param]()


async def _heard(listening: AsyncIterator[None]) -> bool:
    """Tell whether the listener is woken before everything else has run."""
    waiting = asyncio.ensure_future(anext(listening))
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    if not done:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    return bool(done)


async def test_a_listener_looks_once_at_once(bus: Bus) -> None:
    listening = bus.listen("job_1")
    assert await _heard(listening)
    assert not await _heard(listening)


async def test_every_listener_of_the_topic_is_woken(bus: Bus) -> None:
    mine, yours, other = bus.listen("job_1"), bus.listen("job_1"), bus.listen("job_2")
    for listening in (mine, yours, other):
        await anext(listening)
    await bus.publish("job_1")
    assert await _heard(mine)
    assert await _heard(yours)
    assert not await _heard(other)


async def test_many_publishes_are_one_wake_up_for_a_slow_listener(bus: Bus) -> None:
    listening = bus.listen("job_1")
    await anext(listening)
    for _ in range(10):
        await bus.publish("job_1")
    assert await _heard(listening)
    assert not await _heard(listening)


async def test_a_publish_between_looking_and_waiting_is_not_lost(bus: Bus) -> None:
    listening = bus.listen("job_1")
    await anext(listening)
    waiting = asyncio.ensure_future(anext(listening))
    await asyncio.sleep(0)
    await bus.publish("job_1")
    await waiting


async def test_publishing_to_nobody_is_fine(bus: Bus) -> None:
    await bus.publish("job_1")
    listening = bus.listen("job_1")
    assert await _heard(listening)


async def test_listeners_that_leave_are_forgotten() -> None:
    bus = InProcessBus()
    listening = bus.listen("job_1")
    await anext(listening)
    assert hasattr(listening, "aclose")
    await listening.aclose()
    assert not bus._listeners
