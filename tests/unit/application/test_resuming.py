"""`job resume`: a paused job goes on by somebody's word, if its script is still what it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from secureflow.adapters.database.faults import fault
from secureflow.application.access import Principal
from secureflow.application.jobs.jobs import Jobs
from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.application.jobs.reachability import Reachability
from secureflow.application.ports.storage import Journalled
from secureflow.application.quotas import Quotas
from secureflow.application.running.resuming import MOST
from secureflow.application.transactions import Transactions
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.users import Role
from secureflow.engines.script import Ask, Move, Record, Script, effect_digest
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.text import Text, with_texts
from tests.doubles import SilentCourier
from tests.stage import Stage
from tests.unit.application.refusing import refused
from tests.unit.application.test_driving import JOB, KEY, Faults, World, world

ADMIN = Principal("usr_9", "root", "", frozenset({Role.PLATFORM_ADMIN}), "")
SUBMITTED = replace(JOB, spec={"roster": [{"party": "bank-a"}, {"party": "bank-b"}]})


class Play:
    """A script that meets a defect behind its question while `broken`; `verb` is the question."""

    def __init__(self) -> None:
        self.broken = True
        self.verb = "train"

    def __call__(self, job: Job) -> Script[dict[str, Any]]:
        del job
        yield Move("approved")
        yield Move("admitted")
        yield Move("running")
        yield Record(({"kind": "noted", "document": {"n": 1}},))
        yield Ask(("bank-a",), self.verb)
        yield Record(({"kind": "noted", "document": {"n": 2}},))
        if self.broken:
            raise RuntimeError
        yield Record(({"kind": "job.closed", "document": {"outcome": "failed", "ends": []}},))
        return {"done": True}


@asynccontextmanager
async def paused(
    path: Path, play: Play, faults: Faults | None = None
) -> AsyncIterator[tuple[World, Jobs]]:
    """A job that a defect paused."""
    faults = faults or Faults()
    async with world(path, faults, played=play) as one:
        await one.add(SUBMITTED)
        one.runner.start(JOB.id)
        assert (await one.ended()).state is JobState.PAUSED
        yield one, use_cases(one)


def use_cases(one: World) -> Jobs:
    begin, unused = one.runner._begin, cast("Any", None)
    nowhere = Reachability(SilentCourier(), frozenset)
    transactions = Transactions(begin, one.ledger, KEY, lambda: 9)
    return Jobs(
        begin, transactions, one.runner, unused, lambda: 9, unused, Quotas(), nowhere, JOB_KINDS
    )


async def test_it_goes_on_where_its_script_is_the_same(tmp_path: Path) -> None:
    play = Play()
    async with paused(tmp_path, play) as (one, jobs):
        play.broken = False
        told = await jobs.resume(ADMIN, JOB.id)
        assert (told.state, told.error) == (JobState.RUNNING, None)
        job = await one.ended()
        assert (job.state, job.error) == (JobState.SUCCEEDED, None)
        assert one.courier.asked == ["job_1/4/bank-a"]  # its answer was kept
        _, events, _, leaves = await one.record()
        entries = await one.ledger.entries(job=JOB.id)
    assert leaves == ["noted", "noted", "job.resumed", "job.closed"]
    assert entries[2].document == {
        "by": "usr_9", "organisation": "", "paused_by": "internal", "try": 1,
    }  # fmt: skip
    resumed = Text("resumed by {name}", name="root")
    assert ("state", with_texts({"state": "running", "reason": resumed})) in events
    assert job.progress["resumed"] == [{"by": "root", "at": 9}]


async def test_it_is_refused_by_name_where_the_script_asks_for_something_else(
    tmp_path: Path,
) -> None:
    play = Play()
    async with paused(tmp_path, play) as (one, jobs):
        before = await one.job()
        play.broken, play.verb = False, "evaluate"
        with pytest.raises(SecureFlowError, match="its effect 4 was") as caught:
            await jobs.resume(ADMIN, JOB.id)
        assert caught.value.code == "script_changed"
        assert "the current script asks 'evaluate' of bank-a" in caught.value.message
        assert f"secureflow job resume {JOB.id}" in caught.value.hint
        assert caught.value.details["effect"] == 4
        assert await one.job() == before  # no try is counted, and nothing was changed
        assert len(await one.ledger.entries()) == 2
        play.verb = "train"  # the version that began it is back
        await jobs.resume(ADMIN, JOB.id)
        assert (await one.ended()).state is JobState.SUCCEEDED


async def test_it_is_tried_a_few_times_only(tmp_path: Path) -> None:
    play = Play()
    async with paused(tmp_path, play) as (one, jobs):
        for _ in range(MOST):
            one.changed.clear()
            await jobs.resume(ADMIN, JOB.id)
            await one.runner._tasks[JOB.id]
            assert (await one.job()).state is JobState.PAUSED
        play.broken = False
        with refused("resumed_too_often", "5 times"):
            await jobs.resume(ADMIN, JOB.id)
        resumed = [entry for entry in await one.ledger.entries() if entry.kind == "job.resumed"]
        assert [entry.document["try"] for entry in resumed] == [1, 2, 3, 4, 5]


async def test_only_a_paused_job_is_resumed(tmp_path: Path) -> None:
    play = Play()
    async with paused(tmp_path, play) as (one, jobs):
        play.broken = False
        await jobs.resume(ADMIN, JOB.id)
        await one.ended()
        with pytest.raises(SecureFlowError, match="is already succeeded") as caught:
            await jobs.resume(ADMIN, JOB.id)
        assert caught.value.hint == f"See how it ended: secureflow job show {JOB.id}."
    (tmp_path / "running").mkdir()
    async with world(tmp_path / "running", Faults()) as one:
        await one.add(replace(SUBMITTED, state=JobState.RUNNING))
        jobs._begin = one.runner._begin
        with refused("not_paused"):
            await jobs.resume(ADMIN, JOB.id)


async def test_one_that_is_cancelled_during_the_replay_is_not_resumed(tmp_path: Path) -> None:
    """Its end is signed then: a leaf behind it would be one that the end does not know."""
    async with paused(tmp_path, Play()) as (one, jobs):
        await one.runner.stop()  # the end has not begun
        replayed = one.runner.state_to_resume

        async def cancelled_meanwhile(job: str) -> JobState:
            state = await replayed(job)
            await one.runner.cancel(job, "usr_1")
            return state

        one.runner.state_to_resume = cancelled_meanwhile  # type: ignore[method-assign]
        for _ in range(2):  # nor afterwards
            with refused("not_paused", "is about to end"):
                await jobs.resume(ADMIN, JOB.id)
        assert (await one.job()).state is JobState.PAUSED
        assert (await one.record())[-1] == ["noted", "noted"]


async def test_nobody_drives_a_paused_job_without_a_word(tmp_path: Path) -> None:
    play = Play()
    async with paused(tmp_path, play) as (one, _):
        play.broken = False
        one.runner.start(JOB.id)
        await one.runner._tasks[JOB.id]
        assert (await one.job()).state is JobState.PAUSED


@contextmanager
def numbering_fails(one: World) -> Iterator[None]:
    number = one.ledger._store.number

    def failing(*_: Any, **__: Any) -> Any:
        raise fault("database_unavailable")

    one.ledger._store.number = failing  # type: ignore[method-assign]
    yield
    one.ledger._store.number = number  # type: ignore[method-assign]


async def test_a_number_that_is_owed_goes_before_the_jobs_next(
    tmp_path: Path,
) -> None:
    """The change stands though the ledger fails just then."""
    play = Play()
    async with paused(tmp_path, play) as (one, jobs):
        play.broken = False
        with numbering_fails(one):
            await jobs.resume(ADMIN, JOB.id)
        assert (await one.ended()).state is JobState.SUCCEEDED
        assert (await one.record())[-1] == ["noted", "noted", "job.resumed", "job.closed"]


async def test_the_centres_end_counts_a_resumption_whose_number_is_owed(tmp_path: Path) -> None:
    """Else the bundle of the job would hold a leaf that its end does not know."""

    def short(job: Job) -> Script[dict[str, Any]]:
        del job
        yield Move("running")
        yield Record(({"kind": "job.closed", "document": {"outcome": "failed", "ends": []}},))
        return {}

    async with world(tmp_path, Faults(), played=short) as one:
        await one.add(replace(SUBMITTED, state=JobState.PAUSED, error={"code": "script_changed"}))
        async with one.database.begin() as unit:
            await unit.journal.append(JOB.id, [Journalled(0, effect_digest(Move("running")), None)])
            await unit.commit()
        with numbering_fails(one):
            await use_cases(one).resume(ADMIN, JOB.id)
        assert (await one.ended()).state is JobState.SUCCEEDED
        resumed, closed = await one.ledger.entries(job=JOB.id)
    assert closed.document["ends"] == [
        {"author": "server", "key": "", "count": 1, "last": resumed.hash.hex()}
    ]


async def test_a_fault_before_the_commit_resumes_nothing(tmp_path: Path) -> None:
    play, faults = Play(), Faults()
    async with paused(tmp_path, play, faults) as (one, jobs):
        play.broken = False
        for n in range(8):  # somewhere before its commit
            faults.at = frozenset({faults.calls + n})
            with pytest.raises(InfrastructureError):
                await jobs.resume(ADMIN, JOB.id)
            await one.runner._tasks[JOB.id]
            job = await one.job()
            assert (job.state, job.progress) == (JobState.PAUSED, {}), n
        faults.at = frozenset()
        assert [entry.kind for entry in await one.ledger.entries()] == ["noted", "noted"]


async def test_it_is_for_whoever_may_cancel_it(stage: Stage) -> None:
    jobs, key = stage.services.jobs, stage.ids["job"]
    job = await jobs.get(stage.operator, key)
    error = SecureFlowError("internal", "x").as_json()
    await stage.finish(job, state=JobState.PAUSED, error=error)
    with refused("not_found"):
        await jobs.resume(stage.admin("outsider"), key)
    with refused("forbidden"):
        await jobs.resume(stage.person("bank-a", Role.AUDITOR), key)
    assert stage.driver.started == [key]  # its submission
    assert (await jobs.resume(stage.owner("bank-c"), key)).state is JobState.RUNNING
    assert stage.driver.started == [key, key]
    with refused("not_paused"):
        await jobs.resume(stage.operator, key)


async def test_a_member_that_does_not_contribute_cannot_resume(stage: Stage) -> None:
    projects = stage.services.projects
    await projects.invite(stage.admin("bank-a"), stage.ids["project"], "outsider")
    await projects.accept(stage.admin("outsider"), stage.ids["project"])
    with refused("forbidden"):
        await stage.services.jobs.resume(stage.admin("outsider"), stage.ids["job"])
