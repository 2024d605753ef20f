"""The queue for update buffers: first come first served, none lost, none given twice."""

from __future__ import annotations

import asyncio

from secureflow.enclave.buffers import Buffers


def _nothing() -> bool:
    return False


async def test_waiters_are_served_in_order() -> None:
    buffers = Buffers(1, 8)
    first = await buffers.take(_nothing)
    waiting = [asyncio.create_task(buffers.take(_nothing)) for _ in range(3)]
    await asyncio.sleep(0)
    assert buffers.wanted
    served = []
    buffer = first
    for task in waiting:
        buffers.give(buffer)
        buffer = await task
        served.append([one.done() for one in waiting])
    assert served == [[True, False, False], [True, True, False], [True, True, True]]
    assert not buffers.wanted


async def test_who_gives_up_loses_no_buffer() -> None:
    buffers = Buffers(1, 8)
    first = await buffers.take(_nothing)
    before, after = (asyncio.create_task(buffers.take(_nothing)) for _ in range(2))
    await asyncio.sleep(0)
    before.cancel()
    await asyncio.gather(before, return_exceptions=True)
    buffers.give(first)
    assert await after is first
    late = asyncio.create_task(buffers.take(_nothing))
    await asyncio.sleep(0)
    buffers.give(first)
    late.cancel()  # it was served, but does not know yet
    await asyncio.gather(late, return_exceptions=True)
    assert await asyncio.wait_for(buffers.take(_nothing), 1) is first


async def test_an_idle_buffer_is_reclaimed() -> None:
    buffers = Buffers(1, 8)
    idle = [await buffers.take(_nothing)]

    def reclaim() -> bool:
        buffers.give(idle.pop())
        return True

    assert await asyncio.wait_for(buffers.take(reclaim), 1) is not None
    assert not idle
