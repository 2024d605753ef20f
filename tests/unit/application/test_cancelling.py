"""A cancellation is heard once, whenever it comes; a restart and a stop hold whoever calls them."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from secureflow.application.ports.courier import Request
from secureflow.application.running.windups import note_cancellation
from secureflow.domain.jobs import Job, JobState
from secureflow.engines.script import Ask, Script
from secureflow.kit.errors import SecureFlowError
from tests.unit.application.test_driving import JOB, Courier, Faults, script, world


class Silent(Courier):
    """A party that takes its time, and does not let go of a question before `released`."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.left = asyncio.Event(), asyncio.Event()
        self.released = asyncio.Event()

    async def ask(self, request: Request) -> dict[str, Any]:
        self.asked.append(request.id)
        self.reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()
            await self.released.wait()
        raise AssertionError


async def test_a_cancellation_during_the_replay_is_heard(tmp_path: Path) -> None:
    """The replay goes by the row as it was before; a script that imports its engine takes long."""
    begun, released, courier = threading.Event(), threading.Event(), Silent()
    courier.released.set()

    def slow(job: Job) -> Script[dict[str, Any]]:
        begun.set()
        assert released.wait(120)
        return script(job)

    async with world(tmp_path, Faults(), courier, played=slow) as one:
        await one.add()
        one.runner.start(JOB.id)
        assert await asyncio.to_thread(begun.wait, 120)
        await one.runner.cancel(JOB.id, "usr_1")
        released.set()
        assert (await one.ended()).state is JobState.CANCELLED


async def test_a_cancellation_meets_a_job_that_moves_on(tmp_path: Path) -> None:
    """The job's row changes between the read and the write of whoever cancels: not once only."""
    async with world(tmp_path, Faults()) as one:
        await one.add()
        begin, moves = one.database.begin, iter(range(5))

        def meeting() -> Any:
            unit = begin()
            get = unit.jobs.get

            async def read(key: str) -> Job:
                found = await get(key)
                if (step := next(moves, None)) is not None:
                    async with begin() as other:
                        job = await other.jobs.get(key)
                        await other.jobs.save(replace(job, progress={"round": step}))
                        await other.commit()
                return found

            unit.jobs.get = read  # type: ignore[method-assign]
            return unit

        assert await note_cancellation(meeting, JOB.id, "usr_1")
        assert (await one.job()).progress == {"round": 4, "cancel": "usr_1"}


async def test_a_second_cancellation_does_not_cut_off_the_clean_up(tmp_path: Path) -> None:
    """Whoever did not hear of the first one cancels again: parties sign what they end with."""
    courier, answers = Courier(), list[Any]()

    def careful(job: Job) -> Script[dict[str, Any]]:
        try:
            return (yield from script(job))
        except SecureFlowError:
            answers.append((yield Ask(("bank-b",), "finish", need=0)))
            raise

    async def ask(request: Request) -> dict[str, Any]:
        if request.verb == "finish":
            await one.runner.cancel(JOB.id, "usr_1")
            for _ in range(9):  # whoever is to be cut off is
                await asyncio.sleep(0)
            return {"signed": True}
        await one.runner.cancel(JOB.id, "usr_1")
        return await asyncio.Future()

    courier.ask = ask  # type: ignore[method-assign]
    async with world(tmp_path, Faults(), courier, played=careful) as one:
        await one.add()
        one.runner.start(JOB.id)
        assert (await one.ended()).state is JobState.CANCELLED
    assert answers == [{"replies": {"bank-b": {"signed": True}}, "failures": {}}]


async def test_a_restart_that_nobody_waits_for_any_more_drives_the_job(tmp_path: Path) -> None:
    """An agent that shows its head may be cut off meanwhile. And a stop is a stop."""
    courier = Silent()
    async with world(tmp_path, Faults(), courier) as one:
        await one.add()
        one.runner.start(JOB.id)
        await courier.reached.wait()
        courier.reached.clear()
        restarting = asyncio.create_task(one.runner.restart(JOB.id))
        await courier.left.wait()
        restarting.cancel()
        courier.released.set()
        await asyncio.wait_for(courier.reached.wait(), 60)
        await one.runner.stop()
        one.runner.start(JOB.id)
        assert one.runner._tasks[JOB.id].cancelled()
