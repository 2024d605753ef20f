"""Two servers on one database: each job is driven by one of them, whatever the other is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.entities import EntityStore
from secureflow.adapters.database.faults import fault
from secureflow.application.ports.courier import Request
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import Journalled
from secureflow.application.running.asking import Asking
from secureflow.application.running.claims import MISSED_HEARTBEATS, Changes, JobClaims
from secureflow.application.running.runner import Runner
from secureflow.domain.jobs import Job, JobState
from secureflow.engines.script import Ask, Move, Script, effect_digest
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError
from tests.doubles import Played
from tests.migrated import migrated
from tests.unit.application.test_runner import JOB


def script(job: Job) -> Script[dict[str, Any]]:
    yield Ask(("bank-a",), "train")
    if job.id != JOB.id:
        for state in ("approved", "admitted", "running"):
            yield Move(state, "")
        yield Ask(("bank-a",), "second")
    return {}


@dataclass
class Server:
    """One of the servers; its party answers once `trained` is set."""

    database: Database
    name: str
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    trained: asyncio.Event = field(default_factory=asyncio.Event)
    summing: asyncio.Event = field(default_factory=asyncio.Event)
    summed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.claims = JobClaims(self.database.begin, f"id of {self.name}", self.name)
        self.runner = Runner(
            *(self.database.begin, Asking(cast("Any", self), cast("Any", None))),
            *(cast("Ledger", None), SigningKey.generate(), Played(script), lambda: 0),
            changed=lambda _: None,
            claims=self.claims,
        )

    async def ask(self, request: Request) -> dict[str, Any]:
        asked, answered = self.asked, self.trained
        if request.verb == "second":
            asked, answered = self.summing, self.summed
        asked.set()
        await answered.wait()
        return {}

    async def withdraw(self, job: str) -> None:
        del job

    async def let_go(self, job: str = JOB.id) -> None:
        while self.runner.drives(job):  # noqa: ASYNC110  nobody tells of that
            await asyncio.sleep(0.01)

    async def ended(self) -> Job:
        while True:
            async with self.database.begin() as unit:
                job = await unit.jobs.get(JOB.id)
            if job.state.final:
                return job
            await asyncio.sleep(0.01)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[Server, Server]]:
    """Return two servers on one database; the first one drives a job whose party trains."""
    url = migrated(tmp_path / "test.db")
    servers = Server(Database(url), "host-1:8444"), Server(Database(url), "host-2:8444")
    for server in servers:
        await server.database.start()
    first, second = servers
    async with first.database.begin() as unit:
        await unit.jobs.add(JOB)
        await unit.commit()
    await first.runner.poll()
    first.runner.start(JOB.id)
    await first.asked.wait()
    yield first, second
    for server in servers:
        await server.runner.stop()
        await server.database.close()


async def test_a_server_that_starts_leaves_the_jobs_of_others_alone(
    both: tuple[Server, Server],
) -> None:
    first, second = both
    await second.runner.poll()
    await second.runner.resume_all()
    assert not second.runner.drives(JOB.id)
    second.runner.start(JOB.id)
    await second.let_go()
    assert not second.asked.is_set()
    first.trained.set()
    assert (await first.ended()).state is JobState.SUCCEEDED
    async with first.database.begin() as unit:
        assert await unit.claims.every() == []


async def test_a_job_is_taken_over_from_a_server_that_is_no_more(
    both: tuple[Server, Server],
) -> None:
    first, second = both
    for _ in range(MISSED_HEARTBEATS):
        await second.runner.poll()
        assert not second.runner.drives(JOB.id)
    await second.runner.poll()
    await second.asked.wait()
    await first.runner.poll()  # it was stopped, not gone: it lets go
    await first.let_go()
    second.trained.set()
    assert (await second.ended()).state is JobState.SUCCEEDED


async def test_a_job_whose_server_died_before_its_first_step_is_taken_over(
    both: tuple[Server, Server],
) -> None:
    """It is nobody else's until then, and somebody's afterwards."""
    first, second = both
    job = replace(JOB, id="job_2", state=JobState.PROPOSED)
    async with first.database.begin() as unit:
        await unit.jobs.add(job)
        await first.runner.claim(unit, job.id)
        await unit.commit()
    for _ in range(MISSED_HEARTBEATS):
        await second.runner.poll()
        await second.runner.resume_all()
        assert not second.runner.drives(job.id)
    await second.runner.poll()
    assert second.runner.drives(job.id)


async def test_a_server_that_beats_keeps_its_jobs(both: tuple[Server, Server]) -> None:
    first, second = both
    for _ in range(2 * MISSED_HEARTBEATS):
        await second.runner.poll()
        await first.runner.poll()
    assert not second.runner.drives(JOB.id)
    assert second.claims.others == {"host-1:8444"}
    assert first.claims.others == {"host-2:8444"}


async def test_looks_at_a_database_that_takes_no_writes_count_for_nothing(
    both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second = both
    await second.runner.poll()
    with monkeypatch.context() as patch:
        patch.setattr("secureflow.adapters.database.unit.SqlUnitOfWork.commit", _full)
        for _ in range(2 * MISSED_HEARTBEATS):
            with pytest.raises(OSError, match="full"):
                await second.runner.poll()
    await second.runner.poll()
    assert not second.runner.drives(JOB.id)


async def _full(_unit: object) -> None:
    message = "full"
    raise OSError(message)


async def test_a_server_that_comes_back_goes_on_at_once(both: tuple[Server, Server]) -> None:
    first, second = both
    await first.runner.stop()  # killed: its claim stays
    again = Server(second.database, first.name)
    await again.runner.poll()
    await again.runner.resume_all()
    await again.asked.wait()
    again.trained.set()
    assert (await again.ended()).state is JobState.SUCCEEDED
    await again.runner.stop()


async def test_a_cancellation_reaches_the_server_that_drives(both: tuple[Server, Server]) -> None:
    first, second = both
    await second.runner.cancel(JOB.id, "ada")
    await second.let_go()
    await first.runner.poll()
    job = await first.ended()
    assert (job.state, job.progress["cancel"]) == (JobState.CANCELLED, "ada")
    assert not second.asked.is_set()


async def test_a_cancellation_that_comes_as_the_job_is_let_go_reaches_the_other_server(
    both: tuple[Server, Server],
) -> None:
    first, second = both
    for _ in range(MISSED_HEARTBEATS + 1):
        await second.runner.poll()
    await second.asked.wait()
    async with first.database.begin() as unit:
        job = await unit.jobs.get(JOB.id)
        await unit.jobs.save(replace(job, progress={"cancel": "ada"}))
        await unit.commit()
    await first.runner.poll()
    assert first.runner.drives(JOB.id)  # it was told to end, and has not yet
    first.runner.start(JOB.id)  # by whoever cancelled the job
    await first.let_go()
    await second.runner.poll()
    assert (await asyncio.wait_for(second.ended(), 30)).state is JobState.CANCELLED


async def test_what_was_asked_while_the_database_failed_is_done_at_the_next_look(
    both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = both
    await second.runner.cancel(JOB.id, "ada")
    await second.let_go()
    looked = first.claims.poll
    with monkeypatch.context() as patch:

        async def look() -> Changes:  # the database goes away between this and what follows
            changes = await looked()
            patch.setattr(EntityStore, "get", _away)
            return changes

        patch.setattr(first.claims, "poll", look)
        with suppress(InfrastructureError):
            await first.runner.poll()
    await first.runner.poll()
    assert (await asyncio.wait_for(first.ended(), 30)).state is JobState.CANCELLED


async def _away(_jobs: object, _job: str) -> Job:
    raise fault("database_unavailable")


async def test_a_damaged_job_that_others_asked_for_keeps_no_server_from_its_work(
    both: tuple[Server, Server],
) -> None:
    first, second = both
    other = replace(JOB, id="job_2")
    async with first.database.begin() as unit:
        await unit.jobs.add(other)
        await unit.claims.take(other.id, "id of host-1:8444", None)
        await unit.commit()
    for job in (JOB.id, other.id):
        second.runner.start(job)  # it asks the first to look
        await second.let_go(job)
    await first.runner.stop()
    async with first.database.begin() as unit:
        broken = sa.text("UPDATE jobs SET doc = '{' || doc WHERE id = :job")
        await unit.write(broken.bindparams(job=JOB.id))
        await unit.commit()
    again = Server(second.database, first.name)
    await again.runner.poll()
    assert again.runner.drives(other.id)
    await again.runner.stop()


async def test_a_server_that_was_overtaken_goes_on_where_the_job_is_its_own(
    both: tuple[Server, Server],
) -> None:
    """Another one answered an effect and let go: the claim says who drives the job now."""
    first, _ = both
    async with first.database.begin() as unit:
        line = Journalled(0, effect_digest(Ask(("bank-a",), "train")), {})
        await unit.journal.append(JOB.id, [line])
        await unit.commit()
    first.trained.set()  # fenced: it begins afresh from the journal
    assert (await first.ended()).state is JobState.SUCCEEDED


async def test_a_server_that_stood_still_does_not_pause_what_another_one_drives(
    both: tuple[Server, Server],
) -> None:
    """It wakes to an answer, and the next step does not fit the state that the job has by now."""
    first, second = both
    job = replace(JOB, id="job_2", state=JobState.PROPOSED)
    async with first.database.begin() as unit:
        await unit.jobs.add(job)
        await unit.commit()
    first.asked.clear()
    first.runner.start(job.id)
    await first.asked.wait()
    for _ in range(MISSED_HEARTBEATS + 1):
        await second.runner.poll()
    second.trained.set()
    await second.summing.wait()
    first.trained.set()  # that lay in its socket: it hears this before its next look
    await first.let_go(job.id)
    second.summed.set()
    await second.let_go(job.id)
    async with second.database.begin() as unit:
        job = await unit.jobs.get(job.id)
    assert (job.state, job.error) == (JobState.SUCCEEDED, None)


async def test_only_a_server_with_neighbours_or_jobs_writes(both: tuple[Server, Server]) -> None:
    first, _ = both
    first.trained.set()
    await first.ended()
    beats = []
    for _ in range(3):
        await first.runner.poll()
        async with first.database.begin() as unit:
            beats.append(await unit.claims.heartbeats())
    assert beats[0] == beats[1] == beats[2]


async def test_a_server_that_is_no_more_is_forgotten(both: tuple[Server, Server]) -> None:
    first, second = both
    first.trained.set()
    await first.ended()
    for _ in range(MISSED_HEARTBEATS + 2):
        await second.runner.poll()
    assert second.claims.others == set()
    async with second.database.begin() as unit:
        assert [beat.name for beat in await unit.claims.heartbeats()] == [second.name]
