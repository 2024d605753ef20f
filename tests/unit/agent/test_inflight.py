"""What is done for a job is ended by its owner's stop, and by nothing else that it looks like."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from secureflow.agent.verbs.inflight import InFlight


async def for_ever(begun: asyncio.Event) -> dict[str, Any]:
    begun.set()
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_stop_ends_what_is_done_for_its_job_alone() -> None:
    flying, begun = InFlight(), [asyncio.Event() for _ in range(3)]
    jobs = ("job_1", "job_1", "job_2")
    tasks = [
        asyncio.create_task(flying.run(j, for_ever(b))) for j, b in zip(jobs, begun, strict=True)
    ]
    for one in begun:
        await one.wait()
    flying.cancel("job_1")
    flying.cancel("job_1")
    flying.cancel("job_none")
    assert await asyncio.gather(*tasks[:2]) == [None, None]
    assert tasks[0].cancelling() == 0, "who asked goes on"
    assert not tasks[2].done()
    tasks[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[2]
    assert flying._requests == {}


async def test_who_is_cancelled_as_well_is_cancelled() -> None:
    flying, begun = InFlight(), asyncio.Event()
    task = asyncio.create_task(flying.run("job_1", for_ever(begun)))
    await begun.wait()
    flying.cancel("job_1")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_answer_is_given() -> None:
    async def answered() -> dict[str, Any]:
        return {"done": True}

    flying = InFlight()
    assert await flying.run("job_1", answered()) == {"done": True}
    flying.cancel("job_1")
