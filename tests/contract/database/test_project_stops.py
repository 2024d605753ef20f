"""A centre that dies between "frozen" and "cancelled" cancels when it starts again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.application.projectstops import ProjectStops
from secureflow.application.running.asking import Asking
from secureflow.application.running.claims import poll_forever
from secureflow.application.running.runner import Runner
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.projects import Freeze, Membership, Project
from secureflow.engines.script import Ask, Move, Script
from secureflow.kit.errors import SecureFlowError
from secureflow.server import centre as module
from secureflow.server.centre import open_centre
from secureflow.server.settings import ServerSettings
from tests.contract.database.conftest import LOG_KEY
from tests.contract.database.test_restore import new_centre
from tests.doubles import Played
from tests.unit.application.test_cancelling import Silent

NOW = 100
PROJECT = Project(
    "prj_1", "credit", "risk", "bank-a",
    (Membership("bank-a", "active", 5), Membership("bank-b", "active", 5)), 5,
)  # fmt: skip
JOB = Job("job_1", "prj_1", "bank-a", "credit", "ana", "training", "training/2",
          {"roster": [{"party": "bank-a", "key": ""}, {"party": "bank-b", "key": ""}],
           "protection": "secagg"}, "ab" * 32,
          JobState.PROPOSED, 5, 6)  # fmt: skip
STOPPED: dict[str, Project] = {
    "frozen": replace(PROJECT, frozen=Freeze("bank-a", "usr_1", 9)),
    "ended": replace(PROJECT, ends=NOW),
    "archived": replace(PROJECT, closed=9),
    "left": replace(
        PROJECT, members=(PROJECT.members[0], Membership("bank-b", "left", 9))
    ),
}  # fmt: skip


def script(job: Job) -> Script[dict[str, Any]]:
    del job
    yield Move("approved")
    yield Move("admitted")
    yield Move("running")
    yield Ask(("bank-a",), "train")
    return {}


@asynccontextmanager
async def centre(database: Database, ledger: SqlLedger) -> AsyncIterator[tuple[Runner, Silent]]:
    """One life of a centre: its runner and a party that never answers."""
    party = Silent()
    party.released.set()
    asking = Asking(cast("Any", party), cast("Any", None))
    args = database.begin, asking, ledger, LOG_KEY, Played(script), lambda: 7
    runner = Runner(*args, lambda _: None)
    try:
        yield runner, party
    finally:
        await runner.stop()


async def found(database: Database) -> Job:
    async with database.begin() as work:
        return await work.jobs.get(JOB.id)


@pytest.mark.parametrize("why", sorted(STOPPED))
async def test_a_stop_that_a_crash_cut_short_is_carried_out(
    database: Database, ledger: SqlLedger, why: str
) -> None:
    async with database.begin() as work:
        await work.projects.add(PROJECT)
        await work.jobs.add(JOB)
        await work.commit()
    async with centre(database, ledger) as (runner, party):
        runner.start(JOB.id)
        await asyncio.wait_for(party.reached.wait(), 60)
        async with database.begin() as work:  # what the use case commits first; then it dies
            await work.projects.get(PROJECT.id)
            await work.projects.save(STOPPED[why])
            await work.commit()
    assert (await found(database)).state is JobState.RUNNING
    async with centre(database, ledger) as (runner, _):
        stops = ProjectStops(database.begin, runner, lambda: NOW)
        assert await stops.sweep() == 1
        assert await stops.sweep() == 0
        await runner.resume_all()
        await asyncio.wait_for(runner._tasks[JOB.id], 60)
    job = await found(database)
    assert job.state is JobState.CANCELLED
    assert job.error is not None
    assert job.error["details"]["why"] == why
    assert "prj_1" in job.error["message"]
    async with database.begin() as work:
        failures = [one.failure for one in await work.journal.read(JOB.id) if one.failure]
    assert [one["message"] for one in failures] == [job.error["message"]]


async def test_a_cancellation_by_a_person_keeps_its_words(
    database: Database, ledger: SqlLedger
) -> None:
    async with database.begin() as work:
        await work.jobs.add(JOB)
        await work.commit()
    async with centre(database, ledger) as (runner, party):
        runner.start(JOB.id)
        await asyncio.wait_for(party.reached.wait(), 60)
        await runner.cancel(JOB.id, "ana")
        await asyncio.wait_for(runner._tasks[JOB.id], 60)
    error = (await found(database)).error
    assert error is not None
    assert SecureFlowError.from_json(error).message == "Job job_1 was cancelled."


async def test_the_projects_of_unfinished_jobs_are_found(database: Database) -> None:
    async with database.begin() as work:
        for number, (project, state) in enumerate(
            [("prj_2", "running"), ("prj_1", "proposed"), ("prj_2", "paused"), ("prj_3", "failed")]
        ):
            await work.jobs.add(
                replace(JOB, id=f"job_{number}", project=project, state=JobState(state))
            )
        await work.commit()
    async with database.begin() as work:
        unfinished = ["proposed", "running", "paused"]
        assert await work.jobs.distinct("project", state=unfinished) == ["prj_1", "prj_2"]
        with pytest.raises(TypeError, match="doc"):
            await work.jobs.distinct("doc")


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    made = ServerSettings.load(new_centre(tmp_path / "centre"))
    return made.model_copy(update={"link": made.link.model_copy(update={"port": 0})})


async def test_a_centre_looks_when_it_starts_and_again_and_again(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job belongs to a project that was frozen before, the other to one that is frozen now."""
    monkeypatch.setattr(module, "poll_forever", partial(poll_forever, interval=0.02))
    sweep, found = ProjectStops.sweep, asyncio.Event()

    async def noted(stops: ProjectStops) -> int:
        stopped = await sweep(stops)
        if stopped:
            found.set()
        return stopped

    monkeypatch.setattr(ProjectStops, "sweep", noted)
    later = replace(PROJECT, id="prj_2"), replace(JOB, id="job_2", project="prj_2")
    async with AsyncExitStack() as stack:
        first = await open_centre(settings, stack, lambda: False)
        async with first.services.begin() as work:
            for project, job in ((STOPPED["frozen"], JOB), later):
                await work.projects.add(project)
                await work.jobs.add(replace(job, state=JobState.PAUSED))
            await work.commit()
        await asyncio.wait_for(found.wait(), 60)
    async with AsyncExitStack() as stack:
        found.clear()
        monkeypatch.setattr(ProjectStops, "poll", _nothing)
        opened = await open_centre(settings, stack, lambda: False)
        assert not found.is_set()  # nothing is cancelled twice
        async with opened.services.begin() as work:
            assert "cancel" in (await work.jobs.get("job_1")).progress
            assert "cancel" not in (await work.jobs.get("job_2")).progress
            await work.projects.save(replace(later[0], frozen=STOPPED["frozen"].frozen))
            await work.commit()
    async with AsyncExitStack() as stack:
        opened = await open_centre(settings, stack, lambda: False)
        assert found.is_set()  # before anything else is driven on
        async with opened.services.begin() as work:
            assert "cancel" in (await work.jobs.get("job_2")).progress


async def _nothing(_: ProjectStops) -> None:
    return
