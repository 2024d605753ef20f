"""Jobs that another job starts: each once, whatever dies, and told to their whole when they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from secureflow.adapters.database.engine import Database
from secureflow.application.ports.ledger import Ledger
from secureflow.application.running.asking import Asking
from secureflow.application.running.runner import Runner
from secureflow.domain.jobs import Job, JobState
from secureflow.engines.script import Ask, Move, RunJob, Script
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from tests.doubles import Played
from tests.migrated import migrated

PART = "job_2"
SPEC = {"name": "rates #1", "kind": "training", "script": "training/2"}
EFFECT = RunJob(PART, SPEC, "cd" * 32, {"epsilon": {}})
COURSE = {"charter": "ef" * 32, "members": {"bank-a": "key"}, "facts": True, "expires": 9}
WHOLE = Job("job_1", "prj_1", "bank-a", "rates", "usr_1", "sweep", "sweep/1", {}, "ab" * 32,
            JobState.RUNNING, 5, 6, progress=COURSE)  # fmt: skip
REPORT = {"metrics": {"loss": 0.5}, "rounds": 3, "history": ["long"]}


class Log:
    """A log that numbers at once."""

    origin = "log.example"

    async def sequenced(self, job: str, seq: int) -> Any:
        del job, seq

    async def caught_up(self) -> int:
        return 0

    async def authors(self, job: str, size: int) -> list[Any]:
        del job, size
        return []


class Courier:
    """Parties that never answer."""

    async def ask(self, request: Any) -> Any:
        del request
        await asyncio.Event().wait()

    async def withdraw(self, job: str) -> None:
        del job


Part = Callable[[Job], Script[dict[str, Any]]]


def succeeds(job: Job) -> Script[dict[str, Any]]:
    del job
    for state in ("approved", "admitted", "running"):
        yield Move(state)
    return dict(REPORT)


def fails(job: Job) -> Script[dict[str, Any]]:
    del job
    yield Move("approved")
    raise SecureFlowError("party_silent", "bank-b is silent", "Start its agent.")


def waits(job: Job) -> Script[dict[str, Any]]:
    del job
    yield Move("approved")
    yield Ask(("bank-a",), "consent", patience=None)
    return {}


class Place:
    """A server's runner, restarted at will; the whole's script runs one part."""

    def __init__(self, database: Database, part: Part) -> None:
        self.database = database
        self.part = part
        self.open()

    def open(self) -> None:
        self.events: dict[str, asyncio.Event] = {}
        self.runner = Runner(
            self.database.begin, Asking(cast("Any", Courier()), cast("Any", None)),
            cast("Ledger", Log()), SigningKey.generate(), Played(self.script), lambda: 7000,
            changed=self.changed,
        )  # fmt: skip

    def script(self, job: Job) -> Script[dict[str, Any]]:
        return self.whole(job) if job.id == WHOLE.id else self.part(job)

    def whole(self, job: Job) -> Script[dict[str, Any]]:
        del job
        answer = yield EFFECT
        return {"answer": answer}

    def changed(self, job: str) -> None:
        self.events.setdefault(job, asyncio.Event()).set()

    async def job(self, key: str) -> Job | None:
        async with self.database.begin() as unit:
            return await unit.jobs.find(key)

    async def until(self, key: str, *states: str) -> Job:
        async with asyncio.timeout(20):
            while True:
                found = await self.job(key)
                if found is not None and found.state.value in states:
                    return found
                await asyncio.sleep(0.005)

    async def ended(self, key: str = WHOLE.id) -> Job:
        return await self.until(key, "succeeded", "failed", "cancelled")


@asynccontextmanager
async def opened(directory: Path, part: Part, whole: Job = WHOLE) -> AsyncIterator[Place]:
    database = Database(migrated(directory / "test.db"))
    await database.start()
    place = Place(database, part)
    async with database.begin() as unit:
        await unit.jobs.add(whole)
        await unit.commit()
    try:
        yield place
    finally:
        await place.runner.stop()
        await database.close()


async def test_a_part_is_an_ordinary_job_whose_end_is_the_answer(tmp_path: Path) -> None:
    async with opened(tmp_path, succeeds) as place:
        place.runner.start(WHOLE.id)
        whole = await place.ended()
        part = await place.ended(PART)
        async with place.database.begin() as unit:
            events = [one.kind for one in await unit.events.after(PART, 0)]
    assert whole.report == {
        "answer": {
            "job": PART,
            "state": "succeeded",
            "report": {"metrics": {"loss": 0.5}, "rounds": 3},
        }
    }
    assert (part.project, part.submitter, part.organisation) == ("prj_1", "usr_1", "bank-a")
    assert (part.name, part.kind, part.script, part.digest) == (
        "rates #1", "training", "training/2", "cd" * 32,
    )  # fmt: skip
    assert part.progress["members"] == COURSE["members"]
    assert part.progress["accounting"] == {"epsilon": {}}
    assert part.progress["expires"] > 7
    assert events[0] == "state"


async def test_a_part_that_fails_is_an_answer_too(tmp_path: Path) -> None:
    async with opened(tmp_path, fails) as place:
        place.runner.start(WHOLE.id)
        whole = await place.ended()
    assert whole.state == "succeeded"
    answer = (whole.report or {})["answer"]
    assert (answer["state"], answer["error"]["code"]) == ("failed", "party_silent")
    assert answer["error"]["hint"] == "Start its agent."
    assert "report" not in answer


async def test_a_cancelled_whole_cancels_its_part_and_hears_of_it(tmp_path: Path) -> None:
    async with opened(tmp_path, waits) as place:
        place.runner.start(WHOLE.id)
        await place.until(PART, "approved")
        await place.runner.cancel(WHOLE.id, "usr_9")
        whole = await place.ended()
        part = await place.ended(PART)
    assert (whole.state, part.state) == ("cancelled", "cancelled")
    assert part.progress["cancel"] == "usr_9"


async def test_a_part_that_is_cancelled_alone_leaves_the_whole(tmp_path: Path) -> None:
    async with opened(tmp_path, waits) as place:
        place.runner.start(WHOLE.id)
        await place.until(PART, "approved")
        await place.runner.cancel(PART, "usr_9")
        whole = await place.ended()
    assert whole.state == "succeeded"
    assert (whole.report or {})["answer"]["state"] == "cancelled"


@pytest.mark.parametrize("how", ["cancelled", "cancelled before a crash", "set back"])
async def test_a_whole_that_ends_without_its_script_cancels_its_part(
    tmp_path: Path, how: str
) -> None:
    spec = {"roster": [], "limits": {"patience_seconds": 1.0}, "protection": "none"}
    progress = {**COURSE, "part": PART}
    if how == "cancelled before a crash":  # noted, and nothing done about it
        progress["cancel"] = "usr_9"
    elif how == "set back":
        progress["set_back"] = True
    paused = replace(WHOLE, state=JobState.PAUSED, spec=spec, progress=progress)
    async with opened(tmp_path, waits, paused) as place:
        async with place.database.begin() as unit:
            await unit.jobs.add(replace(WHOLE, id=PART, state=JobState.PROPOSED))
            await unit.commit()
        place.runner.start(PART)
        await place.until(PART, "approved")
        if how == "cancelled":
            await place.runner.cancel(WHOLE.id, "usr_9")
        else:
            await place.runner.resume_all()
        part = await place.ended(PART)
    assert part.state == "cancelled"
    assert part.progress["cancel"] == ("" if how == "set back" else "usr_9")


@pytest.mark.parametrize("after", ["the proposal", "the part's end"])
async def test_a_server_that_dies_in_between_starts_no_second_part(
    tmp_path: Path, after: str
) -> None:
    started: list[str] = []

    def counted(job: Job) -> Script[dict[str, Any]]:
        started.append(job.id)
        return (yield from (waits if after == "the proposal" else succeeds)(job))

    async with opened(tmp_path, counted) as place:
        if after == "the proposal":
            place.runner.start(WHOLE.id)
            await place.until(PART, "approved")
        else:  # the part ended, and its whole did not hear of it
            async with place.database.begin() as unit:
                report = {**REPORT, "rounds": 9}
                done = replace(WHOLE, id=PART, state=JobState.SUCCEEDED, report=report)
                await unit.jobs.add(done)
                await unit.commit()
        await place.runner.stop()
        place.open()
        place.part = succeeds if after == "the proposal" else counted
        if after == "the proposal":
            async with place.database.begin() as unit:  # its journal is the first run's
                await unit.jobs.save(replace(await unit.jobs.get(PART), state=JobState.APPROVED))
                await unit.commit()
            place.part = _rest
        await place.runner.resume_all()
        whole = await place.ended()
        async with place.database.begin() as unit:
            jobs = await unit.jobs.count()
    assert jobs == 2
    rounds = {"the proposal": 3, "the part's end": 9}[after]
    assert (whole.report or {})["answer"]["report"]["rounds"] == rounds
    assert len(started) == {"the proposal": 1, "the part's end": 0}[after]


def _rest(job: Job) -> Script[dict[str, Any]]:
    """What the restarted part goes on with: the same first effect, then to its end."""
    del job
    yield Move("approved")
    yield Move("admitted")
    yield Move("running")
    return dict(REPORT)
