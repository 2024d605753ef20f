"""`AwaitTime`: a run begins in its window, or never; across pauses and restarts of the centre."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from secureflow.adapters.database.engine import Database
from secureflow.application.ports.ledger import Ledger
from secureflow.application.running import timetabling
from secureflow.application.running.asking import Asking
from secureflow.application.running.runner import Runner
from secureflow.application.running.timetabling import PAUSED, Timetabling, check_submitter
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.organisations import Organisation
from secureflow.domain.users import Role, User
from secureflow.engines.script import AwaitTime, Move, RunJob, Script
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from tests.doubles import Played
from tests.migrated import migrated
from tests.unit.application.test_partjobs import Courier, Log, succeeds

AT, UNTIL = 1000, 1100
EFFECT = AwaitTime(AT, UNTIL)
COURSE = {"charter": "ef" * 32, "members": {"bank-a": "key"}, "facts": True, "expires": 9}
TIMED = Job("job_1", "prj_1", "bank-a", "nightly", "ann", "timetable", "timetable/1",
            {"timetable": {}}, "ab" * 32, JobState.RUNNING, 5, 6, progress=COURSE)  # fmt: skip
ANN = User("usr_1", "ann", "Ann", "bank-a", (Role.DATA_SCIENTIST,), "no hash", 1)
SPEC = {"name": "nightly #1", "kind": "training", "script": "training/2"}


class Place:
    """A database with a timetable, a clock, and what waits."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = 0
        self.cancel = asyncio.Event()
        self.timetabling = Timetabling(database.begin, lambda: self.now)

    async def add(self, **more: Any) -> None:
        async with self.database.begin() as work:
            await work.organisations.add(Organisation("bank-a", "Bank A", 1))
            await work.users.add(replace(ANN, **more))
            await work.jobs.add(TIMED)
            await work.commit()

    async def note(self, paused: Any) -> None:
        async with self.database.begin() as work:
            job = await work.jobs.get(TIMED.id)
            await work.jobs.save(replace(job, progress={**job.progress, PAUSED: paused}))
            await work.commit()

    def wait(self) -> asyncio.Task[Any]:
        return asyncio.create_task(self.timetabling.wait(TIMED.id, EFFECT, self.cancel))

    async def look(self, now: int) -> None:
        """Set the clock, and have what waits look again."""
        self.now = now
        for _ in range(20):
            await asyncio.sleep(0)
            self.timetabling.wake(TIMED.id)


@asynccontextmanager
async def opened(directory: Path, **more: Any) -> AsyncIterator[Place]:
    database = Database(migrated(directory / "test.db"))
    await database.start()
    place = Place(database)
    await place.add(**more)
    try:
        yield place
    finally:
        await database.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with opened(tmp_path) as found:
        yield found


async def answer(task: asyncio.Task[Any]) -> Any:
    async with asyncio.timeout(20):
        return await task


async def test_a_run_waits_for_its_time(place: Place) -> None:
    task = place.wait()
    await place.look(AT - 1)
    assert not task.done()
    await place.look(AT)
    assert await answer(task) == {"state": "due"}


async def test_a_run_whose_window_passed_is_missed(place: Place) -> None:
    place.now = UNTIL
    assert await answer(place.wait()) == {"state": "due"}
    place.now = UNTIL + 1
    assert await answer(place.wait()) == {"state": "missed"}


async def test_a_paused_run_is_left_out_and_one_taken_up_in_its_window_begins(place: Place) -> None:
    await place.note({"by": "bob", "organisation": "bank-b", "at": 1})
    place.now = AT
    task = place.wait()
    await place.look(AT + 1)
    assert not task.done()
    await place.note(None)
    await place.look(AT + 2)
    assert await answer(task) == {"state": "due"}
    await place.note({"by": "bob", "organisation": "bank-b", "at": 1})
    place.now = UNTIL + 1
    assert await answer(place.wait()) == {"state": "paused", "by": "bob"}


async def test_a_cancelled_timetable_waits_no_longer(place: Place) -> None:
    task = place.wait()
    await place.look(AT - 1)
    place.cancel.set()
    with pytest.raises(SecureFlowError) as caught:
        await answer(task)
    assert caught.value.code == "cancelled"


async def test_a_timetable_of_an_account_that_is_disabled_ends_long_before_its_next_run(
    place: Place,
) -> None:
    task = place.wait()
    await place.look(1)
    assert not task.done()
    async with place.database.begin() as work:
        await work.users.save(replace(ANN, disabled=True))
        await work.commit()
    await place.look(2)
    with pytest.raises(SecureFlowError) as caught:
        await answer(task)
    assert caught.value.code == "submitter_gone"


@pytest.mark.parametrize(
    "gone", [{"disabled": True}, {"created": 10}, {"name": "other"}, {"organisation": "none"},
     {"roles": ()}],
    ids=str,
)  # fmt: skip
async def test_nobody_runs_anything_for_an_account_that_is_gone(
    tmp_path: Path, gone: dict[str, Any]
) -> None:
    """Disabled, erased and its name given to another, of no organisation, or without the role."""
    async with opened(tmp_path, **gone) as place:
        place.now = AT
        with pytest.raises(SecureFlowError) as caught:
            await answer(place.wait())
    assert caught.value.code == "submitter_gone"


class Centre:
    """A runner that is restarted at will; the timetable's script has two runs."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.began: list[str] = []
        self.open()

    def open(self) -> None:
        self.changes = asyncio.Event()
        self.runner = Runner(
            self.place.database.begin, Asking(cast("Any", Courier()), cast("Any", None)),
            cast("Ledger", Log()), SigningKey.generate(), Played(self.script),
            lambda: self.place.now * 1000, changed=lambda _: self.changes.set(),
        )  # fmt: skip

    def script(self, job: Job) -> Script[dict[str, Any]]:
        return self.timetable(job) if job.id == TIMED.id else self.run(job)

    def run(self, job: Job) -> Script[dict[str, Any]]:
        self.began.append(job.id)
        return succeeds(job)

    def timetable(self, job: Job) -> Script[dict[str, Any]]:
        del job
        told = []
        for number in (1, 2):
            answer = yield AwaitTime(AT * number, AT * number + 100)
            told.append(answer["state"])
            if answer["state"] == "due":
                yield RunJob(f"job_1{number}", SPEC, "cd" * 32)
        yield Move("running")
        return {"told": told}

    async def until_run(self, key: str) -> None:
        async with asyncio.timeout(20):
            while True:
                async with self.place.database.begin() as work:
                    if await work.jobs.find(key) is not None:
                        return
                await asyncio.sleep(0.005)

    async def until(self, state: JobState) -> Job:
        async with asyncio.timeout(20):
            while True:
                async with self.place.database.begin() as work:
                    job = await work.jobs.get(TIMED.id)
                if job.state is state:
                    return job
                self.changes.clear()
                async with asyncio.timeout(5):
                    await self.changes.wait()


async def test_a_centre_that_was_away_leaves_a_run_out_and_repeats_none(place: Place) -> None:
    """Killed while it waits, after it was told a time, and while a run ends: nothing runs twice."""
    centre = Centre(place)
    place.now = AT - 1
    centre.runner.start(TIMED.id)
    await asyncio.sleep(0)
    await centre.runner.stop()  # while it waits for the first time
    place.now = AT
    centre.open()
    centre.runner.start(TIMED.id)
    await centre.until_run("job_11")
    await centre.runner.stop()  # while its first run is under way
    centre.open()
    place.now = AT * 2 + 101  # the second one's window has passed
    await centre.runner.resume_all()
    job = await centre.until(JobState.SUCCEEDED)
    await centre.runner.stop()
    assert job.report == {"told": ["due", "missed"]}
    async with place.database.begin() as work:
        assert await work.jobs.find("job_12") is None
        first = await work.jobs.get("job_11")
    assert first.state is JobState.SUCCEEDED
    assert set(centre.began) == {"job_11"}


async def test_a_fault_of_the_database_is_no_lost_role(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise InfrastructureError("database_unavailable", "Away.")

    monkeypatch.setattr(timetabling, "permit", broken)
    async with place.database.begin() as work:
        with pytest.raises(InfrastructureError):
            await check_submitter(work, await work.jobs.get(TIMED.id))
