"""Jobs wait for their places, whatever ends, restarts or is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from secureflow.adapters.database.engine import Database
from secureflow.application.ports.ledger import Ledger
from secureflow.application.running.asking import Asking
from secureflow.application.running.claims import Changes
from secureflow.application.running.queueing import JobQueue
from secureflow.application.running.runner import Runner
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.queue import QueueLimits
from secureflow.engines.script import Ask, Move, Script
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from tests.doubles import Played
from tests.migrated import migrated

JOB = Job("job_1", "prj_1", "bank-a", "credit", "ada", "training", "training/2", {}, "ab" * 32,
          JobState.PROPOSED, 5, 6)  # fmt: skip


class Desk:
    """Answers every request when the test says so; knows which jobs have asked."""

    def __init__(self) -> None:
        self.asked: dict[str, asyncio.Future[JSON]] = {}
        self.arrived = asyncio.Event()

    async def perform(self, job: str, seq: int, ask: Ask, cancel: asyncio.Event) -> JSON:
        del seq, ask
        if cancel.is_set():
            raise SecureFlowError("cancelled", "cancelled")
        asked = self.asked.setdefault(job, asyncio.get_running_loop().create_future())
        self.arrived.set()
        cancelled = asyncio.ensure_future(cancel.wait())
        try:
            await asyncio.wait({asked, cancelled}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            cancelled.cancel()
        if cancel.is_set():
            raise SecureFlowError("cancelled", "cancelled")
        return await asked

    async def until(self, *jobs: str) -> None:
        while set(self.asked) != set(jobs):
            self.arrived.clear()
            await self.arrived.wait()

    def answer(self, job: str) -> None:
        self.asked.pop(job).set_result({"replies": {}, "failures": {}})


def script(job: Job) -> Script[dict[str, Any]]:
    del job
    yield Move("approved")
    try:
        yield Ask(("bank-a",), "challenge")
    except SecureFlowError:  # the parties are told that it is over
        yield Ask(("bank-a",), "finish")
        raise
    yield Move("admitted")
    yield Move("running")
    return {"done": True}


class World:
    """A server over a database; `now` is its clock."""

    def __init__(self, database: Database) -> None:
        self.database, self.now = database, 1_000
        self.told: list[tuple[str, str]] = []
        self._changed = asyncio.Event()
        self.start(QueueLimits(running=1))

    def start(self, limits: QueueLimits) -> None:
        self.desk = Desk()

        def waits(job: str, _: str, error: SecureFlowError | None) -> None:
            self.told.append((job, error.code if error else ""))
            self._changed.set()

        self.queue = JobQueue(self.database.begin, limits, lambda: self.now, waits)
        self.runner = Runner(
            self.database.begin, cast("Asking", self.desk), cast("Ledger", None),
            SigningKey.generate(), Played(script), lambda: self.now * 1000,
            changed=lambda _: self._changed.set(), queue=self.queue,
        )  # fmt: skip

    async def submit(self, *names: str, **more: Any) -> None:
        async with self.database.begin() as unit:
            for name in names:
                await unit.jobs.add(replace(JOB, id=name, **more))
            await unit.commit()
        for name in names:
            self.runner.start(name)

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._changed.clear()
            await self._changed.wait()

    async def state(self, job: str) -> JobState:
        async with self.database.begin() as unit:
            return (await unit.jobs.get(job)).state

    async def lines(self) -> dict[str, bool]:
        async with self.database.begin() as unit:
            return {one.job: one.started for one in await unit.queue.every()}

    async def ended(self, job: str) -> JobState:
        while not (state := await self.state(job)).final:
            self._changed.clear()
            if not (state := await self.state(job)).final:
                await self._changed.wait()
        return state


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = Database(migrated(tmp_path / "test.db"))
    await database.start()
    made = World(database)
    yield made
    await made.runner.stop()
    await database.close()


async def test_the_second_job_waits_for_the_first_and_is_told_so(world: World) -> None:
    await world.submit("job_1")
    await world.desk.until("job_1")
    await world.submit("job_2")
    await world.until(lambda: ("job_2", "queued") in world.told)
    assert await world.state("job_2") is JobState.APPROVED
    assert list(world.desk.asked) == ["job_1"]
    world.desk.answer("job_1")
    await world.desk.until("job_2")
    assert await world.lines() == {"job_2": True}
    assert world.told[-1] == ("job_2", "")
    world.desk.answer("job_2")
    assert await world.ended("job_2") is JobState.SUCCEEDED
    assert await world.lines() == {}


async def test_a_waiting_job_can_be_cancelled_and_leaves_the_queue(world: World) -> None:
    await world.submit("job_1")
    await world.desk.until("job_1")
    await world.submit("job_2")
    await world.until(lambda: ("job_2", "queued") in world.told)
    await world.runner.cancel("job_2", "ada")
    await world.desk.until("job_1", "job_2")  # what it cleans up waits for no place
    world.desk.answer("job_2")
    assert await world.ended("job_2") is JobState.CANCELLED
    assert await world.lines() == {"job_1": True}


async def test_a_job_that_is_cancelled_before_its_time_ends_at_once(world: World) -> None:
    await world.submit("job_1", spec={"not_before": 2_000})
    await world.until(lambda: ("job_1", "scheduled") in world.told)
    await world.runner.cancel("job_1", "bank-b", withdrawn="grant_revoked")
    await world.desk.until("job_1")
    await world.runner.stop()  # while it cleans up
    world.start(QueueLimits(running=1))
    await world.runner.resume_all()
    await world.desk.until("job_1")
    world.desk.answer("job_1")
    assert await world.ended("job_1") is JobState.FAILED
    assert await world.lines() == {}


async def test_a_restarted_server_keeps_places_and_the_order(world: World) -> None:
    await world.submit("job_1")
    await world.desk.until("job_1")
    await world.submit("job_2")
    await world.until(lambda: ("job_2", "queued") in world.told)
    world.now += 5
    await world.submit("job_3", priority=5)
    await world.until(lambda: ("job_3", "queued") in world.told)
    await world.runner.stop()
    world.start(QueueLimits(running=1))
    await world.runner.resume_all()
    await world.desk.until("job_1")
    assert await world.lines() == {"job_1": True, "job_2": False, "job_3": False}
    world.desk.answer("job_1")
    await world.desk.until("job_2")
    assert await world.lines() == {"job_2": True, "job_3": False}


async def test_a_job_that_ran_before_there_was_a_queue_keeps_running(world: World) -> None:
    await world.submit("job_1")
    await world.desk.until("job_1")
    await world.runner.stop()
    async with world.database.begin() as unit:  # as an earlier version left it
        await unit.queue.remove("job_1")
        await unit.jobs.add(replace(JOB, id="job_0"))
        await unit.commit()
    world.start(QueueLimits(running=1))
    world.runner.start("job_1")
    await world.desk.until("job_1")
    world.runner.start("job_0")
    await world.until(lambda: ("job_0", "queued") in world.told)


async def test_a_job_starts_at_its_time_when_the_queue_is_polled(world: World) -> None:
    await world.submit("job_1", spec={"not_before": 2_000})
    await world.until(lambda: ("job_1", "scheduled") in world.told)
    await world.queue.poll()
    assert await world.lines() == {"job_1": False}
    world.now = 2_000
    await world.queue.poll()
    await world.desk.until("job_1")


async def test_the_higher_priority_goes_first(world: World) -> None:
    await world.submit("job_1")
    await world.desk.until("job_1")
    await world.submit("job_2", priority=1)
    await world.submit("job_3", priority=8)
    await world.until(lambda: {("job_2", "queued"), ("job_3", "queued")} <= set(world.told))
    world.desk.answer("job_1")
    await world.desk.until("job_3")


async def test_a_part_runs_in_the_place_of_its_whole(world: World) -> None:
    await world.submit("job_1")
    await world.desk.until("job_1")
    await world.submit("job_2", spec={"part_of": {"job": "job_1", "number": 1}})
    await world.desk.until("job_1", "job_2")
    assert await world.lines() == {"job_1": True}


async def test_two_servers_share_the_places(world: World) -> None:
    await world.submit("job_1")
    await world.desk.until("job_1")
    other = World(world.database)
    await other.submit("job_2")
    await other.until(lambda: ("job_2", "queued") in other.told)
    world.desk.answer("job_1")
    assert await world.ended("job_1") is JobState.SUCCEEDED
    assert not other.desk.asked  # nobody tells another server: it looks
    await other.queue.poll()
    await other.desk.until("job_2")
    await other.runner.stop()


async def test_a_job_that_another_server_took_over_asks_for_its_place_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It paused there and gave its place up; it must not run here uncounted."""
    await world.submit("job_1")
    await world.desk.until("job_1")
    claims = world.runner._claims

    async def lost() -> Changes:
        return Changes({}, ["job_1"], lapsed=False)

    monkeypatch.setattr(claims, "poll", lost)
    await world.runner.poll()
    await asyncio.gather(world.runner._tasks["job_1"], return_exceptions=True)
    async with world.database.begin() as unit:  # as the other server pauses it
        await world.queue.leave(unit, "job_1")
        await unit.commit()
    await world.submit("job_2")
    await world.desk.until("job_1", "job_2")
    assert await world.lines() == {"job_2": True}
    world.desk.asked.pop("job_1")
    world.runner.start("job_1")
    queued = asyncio.create_task(world.until(lambda: ("job_1", "queued") in world.told))
    asked = asyncio.create_task(world.desk.until("job_1", "job_2"))
    done, other = await asyncio.wait({queued, asked}, return_when=asyncio.FIRST_COMPLETED)
    for one in other:
        one.cancel()
    assert done == {queued}
    assert await world.lines() == {"job_1": False, "job_2": True}
