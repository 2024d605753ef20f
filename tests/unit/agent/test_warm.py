"""Places of jobs that keep a process with code: a bound, waiting, and an end of what rests."""

from __future__ import annotations

import asyncio

from secureflow.agent.compute.warm import WarmPlaces

LONG = 3600.0


class Jobs:
    """Jobs that compute until they are told to stop."""

    def __init__(self, most: int, idle: float = LONG) -> None:
        self.ended: list[str] = []
        self.events: list[str] = []
        self.places = WarmPlaces(most, idle, self._end)
        self.over: set[str] = set()
        self._until: dict[str, asyncio.Event] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def _end(self, job: str) -> None:
        self.ended.append(job)

    async def _compute(self, job: str) -> None:
        async with self.places.held(job, lambda: job not in self.over):
            self.events.append(job)
            await self._until[job].wait()

    async def begin(self, job: str) -> None:
        self._until[job] = asyncio.Event()
        self._running[job] = asyncio.create_task(self._compute(job))
        await settled()

    async def finish(self, job: str) -> None:
        self._until[job].set()
        await self._running[job]
        await settled()


async def settled() -> None:
    """Let everybody go as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_job_keeps_its_place_while_there_are_others() -> None:
    jobs = Jobs(2)
    for job in ("a", "b", "a", "b"):
        await jobs.begin(job)
        await jobs.finish(job)
    assert jobs.ended == []


async def test_whoever_rested_longest_makes_room() -> None:
    jobs = Jobs(2)
    for job in ("a", "b", "a", "c"):
        await jobs.begin(job)
        await jobs.finish(job)
    assert jobs.ended == ["b"]
    for job in ("a", "b"):
        await jobs.begin(job)
        await jobs.finish(job)
    assert jobs.ended == ["b", "c"]


async def test_beyond_the_bound_jobs_wait_and_none_that_computes_is_ended() -> None:
    jobs = Jobs(2)
    for job in ("a", "b", "c", "d"):
        await jobs.begin(job)
    assert jobs.events == ["a", "b"]
    await jobs.finish("b")
    assert jobs.events == ["a", "b", "c"]
    assert jobs.ended == ["b"]
    jobs.places.leave("a")  # its job ended
    await settled()
    assert jobs.events == ["a", "b", "c", "d"]
    for job in ("a", "c", "d"):
        await jobs.finish(job)
    assert jobs.ended == ["b"]


async def test_one_that_waits_can_be_withdrawn() -> None:
    jobs = Jobs(1)
    await jobs.begin("a")
    await jobs.begin("b")
    jobs._running["b"].cancel()
    await settled()
    await jobs.finish("a")
    await jobs.begin("c")
    assert jobs.events == ["a", "c"]
    await jobs.finish("c")


async def test_one_that_is_asked_nothing_for_long_is_ended() -> None:
    jobs = Jobs(2, idle=0.01)
    await jobs.begin("a")
    await asyncio.sleep(0.05)
    assert jobs.ended == []  # it computes
    await jobs.finish("a")
    async with asyncio.timeout(60):
        while not jobs.ended:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
    assert jobs.ended == ["a"]
    await jobs.begin("a")
    await jobs.finish("a")


async def test_a_job_that_began_anew_is_not_ended_by_its_last_life() -> None:
    jobs = Jobs(1)
    await jobs.begin("a")
    old, until = jobs._running["a"], jobs._until["a"]
    jobs.places.leave("a")
    await jobs.begin("a")
    until.set()
    await old
    await jobs.begin("b")
    assert (jobs.events, jobs.ended) == (["a", "a"], [])  # b waits
    await jobs.finish("a")
    assert jobs.events[-1] == "b"
    await jobs.finish("b")


async def test_a_job_that_ended_while_it_waited_takes_nobodys_place() -> None:
    jobs = Jobs(2)
    for job in ("a", "b", "c"):
        await jobs.begin(job)
    jobs.over.add("c")
    jobs.places.leave("c")
    await settled()
    await jobs.finish("c")
    for job in ("a", "b", "a", "b"):
        await jobs.finish(job)
        await jobs.begin(job)
    assert jobs.ended == []
    await jobs.finish("a")
    await jobs.begin("d")
    assert jobs.ended == ["a"]


async def test_a_process_that_does_not_go_hinders_no_other_job() -> None:
    """Who ends it waits for nothing (`WarmPlaces`): the place is free at once."""
    jobs = Jobs(1)
    for job in ("a", "b", "c"):
        await jobs.begin(job)
        await jobs.finish(job)
    assert jobs.events == ["a", "b", "c"]
    assert jobs.ended == ["a", "b"]
