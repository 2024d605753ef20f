"""A job outlives faults of its database: driven on by itself, and nothing is recorded twice."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from secureflow.adapters.database import connections
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.faults import fault
from secureflow.adapters.database.log import SqlLedger
from secureflow.adapters.database.unit import SqlUnitOfWork
from secureflow.application.ports.courier import Request
from secureflow.application.ports.storage import Journalled
from secureflow.application.running import driving
from secureflow.application.running.asking import Asking
from secureflow.application.running.driving import DriverBackoff
from secureflow.application.running.runner import Runner
from secureflow.domain.errors import INFRASTRUCTURE
from secureflow.domain.jobs import Job, JobState
from secureflow.engines.script import Ask, Move, Now, Record, Script, Tell, effect_digest
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from tests.doubles import Played
from tests.migrated import migrated

JOB = Job("job_1", "prj_1", "bank-a", "credit", "usr_1", "training", "training/2", {}, "ab" * 32,
          JobState.PROPOSED, 5, 6)  # fmt: skip
KEY = SigningKey.generate()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "FIRST", 0.001)
    monkeypatch.setattr(driving, "LONGEST", 0.01)


def script(job: Job) -> Script[dict[str, Any]]:
    """Every kind of effect that touches the database."""
    del job
    yield Move("approved")
    recorded = yield Record(({"kind": "noted", "document": {"n": 1}},))
    yield Move("admitted")
    yield Move("running")
    yield Tell("progress", {"round": 1}, {"round": 1})
    told = yield Ask(("bank-a",), "train")
    at = yield Now()
    yield Tell("progress", {"round": 2}, {"round": 2})
    recorded_too = yield Record(({"kind": "noted", "document": {"n": 2}},))
    return {"told": told, "at": at, "indices": [*recorded["indices"], *recorded_too["indices"]]}


class Courier:
    """A party that answers, or fails with `refusal`; `asked` are the requests."""

    def __init__(self, refusal: SecureFlowError | None = None) -> None:
        self.asked: list[str] = []
        self.refusal = refusal

    async def ask(self, request: Request) -> dict[str, Any]:
        self.asked.append(request.id)
        if self.refusal is not None:
            raise self.refusal
        return {"weight": 3}

    async def withdraw(self, job: str) -> None:
        del job


@dataclass
class Faults:
    """Which calls of the database fail, counted from 0, and whether a commit is kept all the same.

    With `kept` the connection is lost just after the commit: nobody knows that it happened.
    """

    at: frozenset[int] = frozenset()
    code: str = "database_unavailable"
    kept: bool = False
    calls: int = 0
    met: int = 0
    commits: set[int] = field(default_factory=set)

    def due(self, *, commit: bool = False) -> bool:
        if commit:
            self.commits.add(self.calls)
        self.calls += 1
        met = self.calls - 1 in self.at
        self.met += met
        return met


class Faulty(SqlUnitOfWork):
    """A unit of work whose database fails where `faults` says."""

    faults: Faults

    async def __aenter__(self) -> SqlUnitOfWork:
        if self.faults.due():
            raise fault(self.faults.code)
        return await super().__aenter__()

    async def read(self, query: Any, values: Any = None) -> Any:
        if self.faults.due():
            raise self.fail(fault(self.faults.code))
        return await super().read(query, values)

    async def write(self, statement: Any, rows: Any = None) -> Any:
        if self.faults.due():
            raise self.fail(fault(self.faults.code))
        return await super().write(statement, rows)

    async def commit(self) -> None:
        due = self.faults.due(commit=True)
        if due and not self.faults.kept:
            raise self.fail(fault(self.faults.code))
        await super().commit()
        if due:
            raise fault(self.faults.code)


@dataclass
class World:
    """A database, a log and a runner over them."""

    database: Database
    ledger: SqlLedger
    courier: Courier
    runner: Runner
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def add(self, job: Job = JOB) -> None:
        async with self.database.begin() as unit:
            await unit.jobs.add(job)
            await unit.commit()

    async def job(self) -> Job:
        async with self.database.begin() as unit:
            return await unit.jobs.get(JOB.id)

    async def ended(self) -> Job:
        while True:
            self.changed.clear()
            job = await self.job()
            if job.state.final or job.state is JobState.PAUSED:
                return job
            await asyncio.wait_for(self.changed.wait(), 60)

    async def record(self) -> Any:
        """Everything that was kept of the job."""
        async with self.database.begin() as unit:
            lines = [(line.seq, line.digest) for line in await unit.journal.read(JOB.id)]
            events = [(e.kind, e.data) for e in await unit.events.after(JOB.id, 0)]
            owed = await unit.outbox.open_requests(JOB.id)
        return lines, events, owed, [entry.kind for entry in await self.ledger.entries()]


@asynccontextmanager
async def world(
    path: Path, faults: Faults, courier: Courier | None = None, played: Any = script
) -> AsyncIterator[World]:
    database = Database(migrated(path / "test.db"))
    ledger = SqlLedger(database, KEY, "log.example", lambda: 1_700_000_000.0)
    await ledger.start()
    number = ledger._store.number

    def faulty_number(*leaves: Any, **how: Any) -> Any:
        due = faults.due(commit=True)
        if due and not faults.kept:
            raise fault(faults.code)
        batch = number(*leaves, **how)
        if due:
            raise fault(faults.code)
        return batch

    ledger._store.number = faulty_number  # type: ignore[method-assign]

    def begin() -> Faulty:
        unit = Faulty(database.engine, database.turn)
        unit.faults = faults
        return unit

    courier = courier or Courier()
    changed = asyncio.Event()
    asking = Asking(cast("Any", courier), cast("Any", None))
    runner = Runner(begin, asking, ledger, KEY, Played(played), lambda: 7, lambda _: changed.set())
    try:
        yield World(database, ledger, courier, runner, changed)
    finally:
        await runner.stop()
        await ledger.stop()
        await database.close()


async def played(path: Path, faults: Faults) -> tuple[Job, Any]:
    path.mkdir()  # noqa: ASYNC240  of a moment
    async with world(path, faults) as one:
        await one.add()
        one.runner.start(JOB.id)
        job = await one.ended()
        assert set(one.courier.asked) == {"job_1/5/bank-a"}  # again only under the same key
        return job, await one.record()


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    ["even", "kept", *(pytest.param(how, marks=pytest.mark.full) for how in ("odd", "thrice"))],
)
async def test_wherever_the_database_fails_the_job_ends_as_if_it_had_not(
    tmp_path: Path, how: str
) -> None:
    """At every call, even and odd ones; for three calls; as a commit kept unheard of."""
    counted = Faults()
    job, record = await played(tmp_path / "undisturbed", counted)
    assert (job.state, counted.met) == (JobState.SUCCEEDED, 0)
    assert counted.calls > 30
    calls = range(counted.calls)
    courses = {
        "even": [Faults(frozenset({n})) for n in calls[::2]],
        "odd": [Faults(frozenset({n})) for n in calls[1::2]],
        "thrice": [Faults(frozenset({n, n + 1, n + 2}), "disk_full") for n in calls[::3]],
        "kept": [Faults(frozenset({n}), kept=True) for n in sorted(counted.commits)],
    }
    for n, faults in enumerate(courses[how]):
        disturbed, kept = await played(tmp_path / f"{n}", faults)
        assert faults.met
        assert replace(disturbed, updated=0) == replace(job, updated=0), faults
        assert kept == record, faults


@pytest.fixture
def unwaiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0)


@pytest.mark.usefixtures("unwaiting")
async def test_a_job_goes_on_when_another_process_lets_go_of_the_database(tmp_path: Path) -> None:
    async with world(tmp_path, Faults()) as one:
        await one.add()
        other = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        one.runner.start(JOB.id)
        await noted(one.runner)
        assert (await one.job()).state is JobState.PROPOSED
        other.close()
        assert (await one.ended()).state is JobState.SUCCEEDED


async def test_a_job_goes_on_when_the_disk_has_room_again(tmp_path: Path) -> None:
    def large(job: Job) -> Script[dict[str, Any]]:
        yield Tell("progress", {"text": "x" * 50_000})  # more than the pages at hand have room for
        return (yield from script(job))

    async with world(tmp_path, Faults(), played=large) as one:
        full = True

        def limit(connection: sqlite3.Connection, *_: object) -> None:
            connection.execute(f"PRAGMA max_page_count={1 if full else 1 << 30}")

        for engine in (one.database.engine.sync_engine, one.ledger._store._engine):
            sa.event.listen(engine, "checkout", limit)
        await one.add()
        one.runner.start(JOB.id)
        await noted(one.runner)
        full = False
        assert (await one.ended()).state is JobState.SUCCEEDED


async def noted(runner: Runner) -> None:
    """Wait until the job has waited, and tried in vain again."""
    waits, note, again = 0, runner._faults.note, asyncio.Event()

    def counted(kind: str, **facts: Any) -> None:
        nonlocal waits
        waits += 1
        if waits > 1:
            again.set()
        note(kind, **facts)

    runner._faults.note = counted  # type: ignore[method-assign]
    await again.wait()


async def test_a_party_that_calls_its_own_failure_so_is_not_waited_for(tmp_path: Path) -> None:
    """Else one party could hold every job up for ever."""
    for code in INFRASTRUCTURE:
        told = SecureFlowError(code, "It is away.", "Later.")
        (tmp_path / code).mkdir()
        async with world(tmp_path / code, Faults(), Courier(told)) as one:
            await one.add()
            one.runner.start(JOB.id)
            job = await one.ended()
        assert job.state is JobState.FAILED
        assert (job.error or {})["code"] == code


async def test_a_fault_of_ours_while_a_question_is_asked_is_no_partys_failure(
    tmp_path: Path,
) -> None:
    """The proofs that go with a question are read from the database while it is delivered."""
    courier = Courier(fault("database_busy"))
    async with world(tmp_path, Faults(), courier) as one:
        await one.add()
        one.runner.start(JOB.id)
        await noted(one.runner)
        courier.refusal = None
        assert (await one.ended()).state is JobState.SUCCEEDED
    assert set(courier.asked) == {"job_1/5/bank-a"}
    assert len(courier.asked) > 1


@pytest.mark.parametrize("code", sorted(INFRASTRUCTURE))
async def test_a_job_that_such_a_fault_paused_is_taken_up_by_itself(
    tmp_path: Path, code: str
) -> None:
    """With the state that its script is in, and without the error."""
    away = SecureFlowError(code, "It is away.", "Later.")
    async with world(tmp_path, Faults()) as one:
        await one.add(replace(JOB, state=JobState.PAUSED, error=away.as_json()))
        async with one.database.begin() as unit:
            line = Journalled(0, effect_digest(Move("approved")), None)
            await unit.journal.append(JOB.id, [line])
            await unit.commit()
        await one.runner.resume_all()
        while True:
            one.changed.clear()  # before the look: what changes during it must not be missed
            if (job := await one.job()).state.final:
                break
            await asyncio.wait_for(one.changed.wait(), 60)
        _, events, _, _ = await one.record()
    assert (job.state, job.error) == (JobState.SUCCEEDED, None)
    assert events[0] == ("state", {"state": "approved", "reason": "taken up again"})


async def test_a_job_that_something_else_paused_stays_so(tmp_path: Path) -> None:
    error = SecureFlowError("script_changed", "x").as_json()
    async with world(tmp_path, Faults()) as one:
        await one.add(replace(JOB, state=JobState.PAUSED, error=error))
        await one.runner.resume_all()
        assert one.runner._tasks == {}


async def test_a_broken_row_keeps_no_other_job_from_being_driven(tmp_path: Path) -> None:
    """Neither its own document nor its journal; that one is paused, and says why."""
    async with world(tmp_path, Faults()) as one:
        for n in ("0", "1", "3"):
            await one.add(replace(JOB, id=f"job_{n}"))
        async with one.database.begin() as unit:
            await unit.journal.append("job_3", [Journalled(0, "ab" * 32, {"a": 1})])
            await unit.commit()
        async with one.database.engine.begin() as connection:
            await connection.exec_driver_sql("UPDATE jobs SET doc = '{' WHERE id = 'job_0'")
            await connection.exec_driver_sql("UPDATE journal SET answer = '{' WHERE job = 'job_3'")
        await one.runner.resume_all()
        assert (await one.ended()).state is JobState.SUCCEEDED
        one.runner.start("job_0")
        await asyncio.gather(*one.runner._tasks.values())
        async with one.database.begin() as unit:
            paused = await unit.jobs.get("job_3")
    assert paused.state is JobState.PAUSED
    assert (paused.error or {})["code"] == "record_damaged"


async def test_watchers_are_told_that_the_driver_waits_and_when_it_does_no_more(
    tmp_path: Path,
) -> None:
    told: list[tuple[str, str, str | None]] = []
    async with world(tmp_path, Faults(frozenset({5}))) as one:
        one.runner._waits = lambda job, who, error: told.append((job, who, error and error.code))
        await one.add()
        one.runner.start(JOB.id)
        assert (await one.ended()).state is JobState.SUCCEEDED
    at = told.index(("job_1", "server", "database_unavailable"))
    assert ("job_1", "server", None) in told[at:]


async def test_a_centre_that_can_open_no_more_files_waits_and_pauses_no_job(
    tmp_path: Path,
) -> None:
    faults, told = [OSError(errno.EMFILE, "Too many open files")] * 2, list[str | None]()

    def limited(job: Job) -> Script[dict[str, Any]]:
        if faults:
            raise faults.pop()
        return script(job)

    async with world(tmp_path, Faults(), played=limited) as one:
        one.runner._waits = lambda _job, _who, error: told.append(error and error.code)
        await one.add()
        one.runner.start(JOB.id)
        assert (await one.ended()).state is JobState.SUCCEEDED
    assert told[:2] == ["too_many_files"] * 2


@pytest.mark.slow
async def test_a_defect_pauses_even_when_the_database_fails_at_that_moment(tmp_path: Path) -> None:
    """And what the driver of the database said is for the log alone."""

    def broken(job: Job) -> Script[dict[str, Any]]:
        del job
        yield Move("approved")
        raise RuntimeError("sqlite3.OperationalError: near 'secret'")

    for n in range(8):
        (tmp_path / f"{n}").mkdir()
        async with world(tmp_path / f"{n}", Faults(frozenset({n})), played=broken) as one:
            await one.add()
            one.runner.start(JOB.id)
            job = await one.ended()
        assert job.state is JobState.PAUSED
        assert (job.error or {})["code"] == "internal"
        assert "secret" not in str(job.error)


async def test_whoever_cancels_ends_the_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancellation that was kept shows that the database works."""
    monkeypatch.setattr(driving, "FIRST", 3600.0)
    monkeypatch.setattr(driving, "LONGEST", 3600.0)
    async with world(tmp_path, Faults(frozenset({0}))) as one:
        await one.add()
        waiting = asyncio.Event()
        one.runner._faults.note = lambda *_, **__: waiting.set()  # type: ignore[method-assign]
        one.runner.start(JOB.id)
        await waiting.wait()
        await one.runner.cancel(JOB.id, "usr_1")
        assert (await one.ended()).state is JobState.CANCELLED


async def test_a_job_that_never_came_to_be_is_nothing_to_drive(tmp_path: Path) -> None:
    async with world(tmp_path, Faults()) as one:
        one.runner.start("job_none")
        await one.runner._tasks["job_none"]


async def test_pauses_grow_and_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    timeout = asyncio.timeout

    def noted_timeout(seconds: float | None) -> asyncio.Timeout:
        pauses.append(cast("float", seconds))
        return timeout(0)

    monkeypatch.setattr(driving, "FIRST", 0.25)
    monkeypatch.setattr(driving, "LONGEST", 1.0)
    monkeypatch.setattr(asyncio, "timeout", noted_timeout)
    backoff = DriverBackoff()
    for _ in range(4):
        await backoff.wait()
    backoff.reset()
    await backoff.wait()
    assert pauses == [0.25, 0.5, 1.0, 1.0, 0.25]
