"""Who waits in a job is told to watchers: who, for what, since when; and nothing is kept of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.ports.courier import Request
from secureflow.application.ports.storage import Event
from secureflow.application.running.partjobs import PART
from secureflow.application.running.waiting import DEFAULT, HELD, Waits, room_patience
from secureflow.engines.ledger.setback import CONTINUE, Hold, set_back
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from tests.stage import Stage

REQUEST = Request("job_1/7/bank-b", "bank-b", "train", {}, 60.0)
FULL = SecureFlowError("disk_full", "The disk of bank-b is full.", "", {"needed": 9, "free": 2})
WAITS = {"party": "bank-b", "since": 7, "code": "disk_full", "message": FULL.message,
         "needed": 9, "free": 2}  # fmt: skip


def test_who_waits_is_known_until_it_waits_no_more() -> None:
    changed: list[str] = []
    now = iter([7, 8, 9])
    waits = Waits(lambda: next(now), changed.append)
    waits.observe(REQUEST, FULL)
    waits.observe(REQUEST, FULL)  # it waits still, since then
    waits.note("job_1", "aggregator", FULL)
    assert waits.of("job_1")[1] == WAITS
    assert [one["since"] for one in waits.of("job_1")] == [8, 7]
    waits.observe(REQUEST, None)
    waits.observe(REQUEST, None)
    waits.note("job_1", "aggregator", None)
    assert waits.of("job_1") == []
    assert waits._jobs == {}
    assert changed == ["job_1"] * 4


def test_of_a_log_that_signs_nothing_the_way_on_is_told() -> None:
    waits = Waits(lambda: 7)
    waits.note("job_1", "server", set_back(Hold("shrunk", 1, 3), "log.example"))
    (told,) = waits.of("job_1")
    assert told["code"] == HELD
    assert CONTINUE in told["hint"]
    assert "own" not in told


@pytest.mark.parametrize(
    ("patience", "spec", "seconds"),
    [
        (5.0, {"limits": {"patience_seconds": 9}}, 5.0),
        (None, {"limits": {"patience_seconds": 9}}, 9.0),
        (None, {"limits": {}}, DEFAULT),
        (None, {"limits": None}, DEFAULT),
        (None, "spec", DEFAULT),
    ],
)
def test_what_people_take_their_time_for_waits_for_room_as_long_as_the_job_does(
    patience: float | None, spec: Any, seconds: float
) -> None:
    assert room_patience(Request("j/1/p", "p", "consent", {"spec": spec}, patience)) == seconds


async def test_a_job_and_its_stream_say_who_waits(stage: Stage) -> None:
    jobs, ada, key = stage.services.jobs, stage.scientist("bank-b"), stage.ids["job"]
    waits = Waits(lambda: 7)
    jobs._waits = waits.of
    seen: asyncio.Queue[Event] = asyncio.Queue()

    async def watch() -> None:
        async for event in jobs.events(ada, key, 0):
            seen.put_nowait(event)

    watching = asyncio.create_task(watch())
    try:
        assert (await seen.get()).kind == "state"
        assert "waiting" not in (await jobs.get(ada, key)).progress
        for error, told in ((FULL, [WAITS]), (None, [])):
            waits.note(key, "bank-b", error)
            await stage.bus.publish(f"job/{key}")
            event = await asyncio.wait_for(seen.get(), 60)
            assert (event.id, event.kind, event.data) == (0, "waiting", {"waiting": told})
            assert (await jobs.get(ada, key)).progress.get("waiting", []) == told
        assert seen.empty()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_while_the_database_is_away_the_stream_says_so(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, ada, key = stage.services.jobs, stage.scientist("bank-b"), stage.ids["job"]
    waits = Waits(lambda: 7)
    jobs._waits = waits.of
    events = jobs.events(ada, key, 0)
    assert (await anext(events)).kind == "state"
    away = InfrastructureError("database_unavailable", "The database cannot be reached.")
    waits.note(key, "server", away)

    def begin() -> Any:
        raise away

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "_begin", begin)
        await stage.bus.publish(f"job/{key}")
        event = await anext(events)
        assert event.data["waiting"][0]["code"] == "database_unavailable"
    waits.note(key, "server", None)
    await stage.bus.publish(f"job/{key}")
    assert (await anext(events)).data == {"waiting": []}
    with monkeypatch.context() as patch:  # a fault that nobody waits out: the watcher comes again
        patch.setattr(jobs, "_begin", begin)
        await stage.bus.publish(f"job/{key}")
        with pytest.raises(InfrastructureError):
            await anext(events)


async def watched(stage: Stage, part: str) -> tuple[Waits, AsyncIterator[Any], InfrastructureError]:
    """Return what the job's servers wait for, its events, and why its part waits at present."""
    jobs, ada, key = stage.services.jobs, stage.scientist("bank-b"), stage.ids["job"]
    async with stage.database.begin() as work:
        job = await work.jobs.get(key)
        await work.jobs.save(replace(job, progress={**job.progress, PART: part}))
        await work.commit()
    waits = Waits(lambda: 7)
    jobs._waits = waits.of
    events = jobs.events(ada, key, 0)
    assert (await anext(events)).kind == "state"
    away = InfrastructureError("database_unavailable", "The database cannot be reached.")
    waits.note(part, "server", away)
    return waits, events, away


async def test_watchers_of_a_sweep_are_kept_while_its_part_waits_for_the_database(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, key, part = stage.services.jobs, stage.ids["job"], "job_1"
    waits, events, away = await watched(stage, part)
    assert (await anext(events)).data["waiting"][0]["code"] == "database_unavailable"
    begin, left = jobs._begin, [away, away]

    def failing() -> Any:
        if left:
            raise left.pop()
        return begin()

    monkeypatch.setattr("secureflow.application.jobs.jobs.LOOK_SECONDS", 0.001)
    monkeypatch.setattr(jobs, "_begin", failing)
    waits.note(part, "bank-b", FULL)
    await stage.bus.publish(f"job/{key}")  # not again: the end of a part's wait wakes nobody here
    event = await asyncio.wait_for(anext(events), 60)
    assert ([one["party"] for one in event.data["waiting"]], left) == (["bank-b", "server"], [])
    for who in ("bank-b", "server"):
        waits.note(part, who, None)
    await stage.bus.publish(f"job/{key}")
    assert (await anext(events)).data == {"waiting": []}
    left.append(away)
    await stage.bus.publish(f"job/{key}")
    with pytest.raises(InfrastructureError):
        await anext(events)


async def test_watchers_of_a_sweep_leave_a_server_that_stops_without_its_database(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its shutdown waits for its streams, as long as it may."""
    jobs, key, part = stage.services.jobs, stage.ids["job"], "job_1"
    _, events, away = await watched(stage, part)
    assert (await anext(events)).kind == "waiting"
    tries: list[str] = []

    def begin() -> Any:
        tries.append(key)
        raise away

    monkeypatch.setattr("secureflow.application.jobs.jobs.LOOK_SECONDS", 0.001)
    monkeypatch.setattr(jobs, "_begin", begin)
    monkeypatch.setattr(jobs, "_stopping", lambda: len(tries) > 2)
    await stage.bus.publish(f"job/{key}")
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(anext(events), 10)


async def test_a_stream_that_cannot_ask_who_may_see_the_job_tells_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, key = stage.services.jobs, stage.ids["job"]
    waits = Waits(lambda: 7)
    waits.note(key, "bank-b", FULL)
    jobs._waits = waits.of

    def begin() -> Any:
        code = "database_unavailable"
        raise InfrastructureError(code, "The database cannot be reached.")

    monkeypatch.setattr(jobs, "_begin", begin)
    with pytest.raises(InfrastructureError):
        await anext(jobs.events(stage.admin("outsider"), key, 0))
