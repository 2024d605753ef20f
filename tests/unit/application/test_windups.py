"""Jobs that end without their script: at start-up, by cancellation, over crashes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.application.ports.courier import Request
from secureflow.application.ports.storage import Journalled, PendingLeaf
from secureflow.application.running.asking import Asking
from secureflow.application.running.recording import server_leaf
from secureflow.application.running.runner import Runner
from secureflow.application.running.windups import WindUp
from secureflow.domain.jobs import Job, JobState
from secureflow.engines.script import Ask, Move, Script, effect_digest
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from tests.doubles import Played
from tests.migrated import migrated

pytestmark = pytest.mark.slow

KEY = SigningKey.from_seed(b"\x0b" * 32)
BANKS = ("bank-a", "bank-b", "bank-c")
SPEC = {
    "roster": [{"party": party, "key": KEY.public} for party in BANKS],
    "protection": "sealed",
}
JOB = Job("job_1", "prj_1", "bank-a", "credit", "usr_1", "training", "training/1", SPEC, "ab" * 32,
          JobState.RUNNING, 5, 6)  # fmt: skip
TRAIN = Ask(("bank-a",), "train")


@dataclass
class Courier:
    """Parties that answer everything, or nothing until they are let."""

    asked: list[Request] = field(default_factory=list)
    present: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, request: Request) -> dict[str, Any]:
        self.asked.append(request)
        await self.present.wait()
        return {}

    async def withdraw(self, job: str) -> None:
        del job


def no_script(job: Job) -> Script[dict[str, Any]]:
    raise AssertionError(f"the script of {job.id} was run")


def changed_script(job: Job) -> Script[dict[str, Any]]:
    yield Ask(("bank-b",), "train")
    return {}


@dataclass
class Centre:
    """A runner over a real database and log; each `restart` is a new process of it."""

    database: Database
    ledger: SqlLedger
    courier: Courier = field(default_factory=Courier)
    script: Any = no_script

    def __post_init__(self) -> None:
        self.courier.present.set()
        self.restart()

    def restart(self) -> None:
        async def cosigned(*_: object) -> None:
            return

        asking = Asking(cast("Any", self.courier), cosigned)
        self.runner = Runner(
            self.database.begin,
            asking,
            self.ledger,
            KEY,
            Played(self.script),
            lambda: 7_000,
            lambda _: None,
        )

    async def keep(self, job: Job, *lines: Journalled, leaf: PendingLeaf | None = None) -> None:
        async with self.database.begin() as unit:
            await unit.jobs.add(job)
            await unit.journal.append(job.id, lines)
            if leaf is not None:
                await unit.leaves.submit([leaf])
            await unit.commit()

    async def job(self) -> Job:
        async with self.database.begin() as unit:
            return await unit.jobs.get(JOB.id)

    async def until(self, true: Callable[[Job], bool]) -> Job:
        async with asyncio.timeout(120):
            while not true(job := await self.job()):  # noqa: ASYNC110  what is durable is asked for
                await asyncio.sleep(0.01)
        return job

    async def ends(self) -> Job:
        return await self.until(lambda job: job.state.final)

    async def outcomes(self) -> list[Any]:
        story = await self.ledger.job_leaves(JOB.id)
        return [one.document for one in story if one.kind == "job.finished"]


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    database = Database(migrated(tmp_path / "test.db"))
    ledger = SqlLedger(database, KEY, "log.example")
    await ledger.start()
    made = Centre(database, ledger)
    yield made
    await made.runner.stop()
    await ledger.stop()
    await database.close()


@pytest.mark.parametrize(
    "state",
    [JobState.PROPOSED, JobState.APPROVED, JobState.ADMITTED, JobState.RUNNING, JobState.PAUSED],
)
async def test_an_unfinished_job_of_an_older_script_ends_at_start_up(
    centre: Centre, state: JobState
) -> None:
    """By name, with everybody told; the script is not run."""
    await centre.keep(replace(JOB, state=state), Journalled(0, effect_digest(TRAIN), {}, None))
    await centre.runner.resume_all()
    job = await centre.ends()
    assert (job.state, (job.error or {})["code"]) == (JobState.FAILED, "script_retired")
    assert "training/1" in (job.error or {})["message"]
    told = {(one.party, one.verb, one.body["outcome"]) for one in centre.courier.asked}
    assert told == {(party, "finish", "failed") for party in (*BANKS, "enclave")}
    assert [one["error"] for one in await centre.outcomes()] == ["script_retired"]


async def test_a_job_of_todays_script_goes_on_at_start_up(centre: Centre) -> None:
    started: list[str] = []
    centre.runner.start = started.append  # type: ignore[method-assign]
    await centre.keep(replace(JOB, script="training/2"))
    await centre.keep(replace(JOB, id="job_2", script="training/2", state=JobState.PAUSED))
    await centre.runner.resume_all()
    assert started == [JOB.id]


async def test_a_paused_job_is_cancelled_without_its_script(centre: Centre) -> None:
    """It is paused because its script cannot be run: cancelling needs none."""
    job = replace(JOB, script="training/2", state=JobState.PAUSED)
    await centre.keep(job, Journalled(0, effect_digest(TRAIN), {}, None))
    await centre.runner.cancel(JOB.id, "usr_1")
    ended = await centre.ends()
    assert (ended.state, (ended.error or {})["code"]) == (JobState.CANCELLED, "cancelled")
    told = [one for one in centre.courier.asked if one.verb == "finish"]
    assert {one.party for one in told} == {*BANKS, "enclave"}
    assert {one.body["outcome"] for one in told} == {"cancelled"}
    closed = [
        one.document for one in await centre.ledger.job_leaves(JOB.id) if one.kind == "job.closed"
    ]
    assert len(closed) == 1


async def test_a_cancelled_job_whose_script_changed_meanwhile_ends(centre: Centre) -> None:
    """The cancellation came before the restart: the job does not stay paused."""
    centre.script = changed_script
    centre.restart()
    job = replace(JOB, script="training/2", progress={"cancel": "usr_1"})
    await centre.keep(job, Journalled(0, effect_digest(Move("running")), None, None))
    await centre.runner.resume_all()
    assert (await centre.ends()).state == JobState.CANCELLED
    assert {one.verb for one in centre.courier.asked} == {"finish", "cosign"}


DAMAGES = (
    "UPDATE journal SET answer = '{' WHERE job = 'job_1'",
    "UPDATE journal SET answer = x'fffe' WHERE job = 'job_1' AND seq = 1",
    "UPDATE journal SET seq = 'one' WHERE job = 'job_1' AND seq = 1",
    "DELETE FROM journal WHERE job = 'job_1' AND seq = 0",
    "UPDATE log_leaves SET document = '{', data = x'00', salt = x'00' WHERE job = 'job_1'",
)


@pytest.fixture
async def damaged(centre: Centre, request: pytest.FixtureRequest) -> Centre:
    """Return a centre with a job of three effects, one of its parts damaged."""
    centre.script = changed_script
    centre.restart()
    lines = [Journalled(seq, effect_digest(Move("running")), {"n": seq}, None) for seq in range(3)]
    leaf = server_leaf("noted", {"n": 1}, "log.example", KEY, 5, job=JOB.id, seq=1)
    await centre.keep(replace(JOB, script="training/2"), *lines, leaf=leaf)
    await centre.ledger.caught_up()
    async with centre.database.engine.begin() as connection:
        await connection.exec_driver_sql(request.param)
    return centre


@pytest.mark.parametrize("damaged", DAMAGES, indirect=True)
async def test_a_job_whose_record_is_damaged_is_cancelled_all_the_same(damaged: Centre) -> None:
    """A start pauses it alone; a cancellation tells everybody, closes it, and runs no script."""
    await damaged.keep(replace(JOB, id="job_2", script="training/2"))
    await damaged.runner.resume_all()
    await damaged.until(lambda job: job.state is JobState.PAUSED)
    # The other job goes on.
    await damaged.until(lambda _: "bank-b" in {one.party for one in damaged.courier.asked})
    damaged.script = no_script
    await damaged.runner.stop()
    damaged.restart()
    damaged.courier.asked.clear()
    await damaged.runner.cancel(JOB.id, "usr_1")
    ended = await damaged.ends()
    assert (ended.state, (ended.error or {})["code"]) == (JobState.CANCELLED, "cancelled")
    told = [one for one in damaged.courier.asked if one.verb == "finish"]
    assert {one.party for one in told} == {*BANKS, "enclave"}
    assert {one.body["outcome"] for one in told} == {"cancelled"}
    kinds = [kind async for kind in _kinds(damaged)]
    assert kinds.count("job.closed") == 1


async def _kinds(centre: Centre) -> AsyncIterator[str]:
    async with centre.database.engine.connect() as connection:
        query = "SELECT kind FROM log_leaves WHERE job = 'job_1' ORDER BY number"
        for row in await connection.exec_driver_sql(query):
            yield row.kind


@pytest.mark.parametrize("damaged", DAMAGES[:2], indirect=True)
async def test_one_that_was_cancelled_before_the_damage_ends_at_the_start(damaged: Centre) -> None:
    async with damaged.database.begin() as unit:
        job = await unit.jobs.get(JOB.id)
        await unit.jobs.save(replace(job, progress={"cancel": "usr_1"}))
        await unit.commit()
    await damaged.runner.resume_all()
    assert (await damaged.ends()).state is JobState.CANCELLED
    assert {one.verb for one in damaged.courier.asked} == {"finish", "cosign"}


def counting_script(job: Job) -> Script[dict[str, Any]]:
    del job
    for seq in range(3):
        assert int((yield Move("running"))["n"]) == seq
    yield Ask(("bank-b",), "train")
    return {}


@pytest.mark.parametrize("answer", [{"m": 1}, {"n": "one"}, {"n": None}, None, [1]], ids=repr)
@pytest.mark.parametrize("cancelled", [True, pytest.param(False, marks=pytest.mark.full)])
async def test_an_answer_of_another_form_is_a_damaged_record(
    centre: Centre, answer: Any, cancelled: bool
) -> None:
    """It is no defect of the server; a cancellation ends the job also where it came before."""
    centre.script = counting_script
    centre.restart()
    answers = [{"n": 0}, answer, {"n": 2}]
    lines = [Journalled(seq, effect_digest(Move("running")), one)
             for seq, one in enumerate(answers)]  # fmt: skip
    progress = {"cancel": "usr_1"} if cancelled else {}
    await centre.keep(replace(JOB, script="training/2", progress=progress), *lines)
    await centre.runner.resume_all()
    if not cancelled:
        paused = await centre.until(lambda job: job.state is JobState.PAUSED)
        told = paused.error or {}
        assert (told["code"], "effect 1" in told["message"]) == ("record_damaged", True)
        with pytest.raises(SecureFlowError, match="record_damaged"):
            await centre.runner.state_to_resume(JOB.id)
        await centre.runner.cancel(JOB.id, "usr_1")
    assert (await centre.ends()).state is JobState.CANCELLED


async def test_an_end_whose_own_journal_is_damaged_begins_anew(centre: Centre) -> None:
    begun = {"first": 2, "size": 0, "error": SecureFlowError("cancelled", "x").as_json()}
    job = replace(JOB, script="training/2", progress={"cancel": "usr_1", "windup": begun})
    line = Journalled(2, effect_digest(Move("running")), {"n": 2}, None)
    await centre.keep(job, line)
    async with centre.database.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE journal SET answer = '{'")
    await centre.runner.resume_all()
    ended = await centre.ends()
    assert ended.state is JobState.CANCELLED
    assert (WindUp.of(ended) or begun).first == 4  # type: ignore[union-attr]


async def test_without_a_cancellation_a_changed_script_only_pauses(centre: Centre) -> None:
    centre.script = changed_script
    centre.restart()
    await centre.keep(
        replace(JOB, script="training/2"),
        Journalled(0, effect_digest(Move("running")), None, None),
    )
    await centre.runner.resume_all()
    await centre.until(lambda job: job.state == JobState.PAUSED)
    assert centre.courier.asked == []


async def test_an_end_goes_on_after_a_crash_in_its_middle(centre: Centre) -> None:
    """The reason is recorded once, and parties are asked again under the same number."""
    centre.courier.present.clear()
    await centre.keep(JOB, Journalled(3, effect_digest(TRAIN), {}, None))
    await centre.runner.resume_all()
    await centre.until(lambda _: len(centre.courier.asked) == 4)
    await centre.runner.stop()
    first = {one.id for one in centre.courier.asked}
    centre.courier.asked.clear()
    centre.courier.present.set()
    centre.restart()
    await centre.runner.resume_all()
    assert (await centre.ends()).state == JobState.FAILED
    assert {one.id for one in centre.courier.asked} == first
    assert len(await centre.outcomes()) == 1


async def test_an_end_that_another_version_began_begins_anew(centre: Centre) -> None:
    """Ends change from version to version too; a job must not hang in one."""
    begun = WindUp(0, 0, SecureFlowError("cancelled", "Job job_1 was cancelled.").as_json())
    await centre.keep(
        replace(begun.kept_by(JOB), script="training/2", state=JobState.PAUSED),
        Journalled(0, effect_digest(Move("running")), None, None),
    )
    await centre.runner.resume_all()
    assert (await centre.ends()).state == JobState.CANCELLED


async def test_what_the_script_asked_last_is_no_answer_to_the_end(centre: Centre) -> None:
    """A party may have answered it under its number; a leaf may wait under it for its own."""
    waiting = server_leaf("round.closed", {}, "log.example", KEY, 1, job=JOB.id, seq=4)
    await centre.keep(JOB, Journalled(3, effect_digest(TRAIN), {}, None), leaf=waiting)
    await centre.runner.resume_all()
    await centre.ends()
    numbers = {one.id.split("/")[1] for one in centre.courier.asked}
    assert min(map(int, numbers)) > 5
    assert [one.kind for one in await centre.ledger.job_leaves(JOB.id)] == [
        "round.closed",
        "job.finished",
    ]


async def test_an_ended_job_cannot_be_cancelled_again(centre: Centre) -> None:
    await centre.keep(JOB)
    await centre.runner.resume_all()
    ended = await centre.ends()
    await centre.runner.cancel(JOB.id, "usr_1")
    assert await centre.job() == ended
