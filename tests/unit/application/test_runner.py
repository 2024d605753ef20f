"""The runner and its event loop: a script's own work keeps nobody waiting."""

from __future__ import annotations

import asyncio
import gc
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.faults import fault
from secureflow.application.ports.courier import Request
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import Journalled
from secureflow.application.running.asking import Asking
from secureflow.application.running.runner import Runner
from secureflow.domain.jobs import Job, JobState
from secureflow.engines.script import Ask, Move, Now, Script, Tell, effect_digest
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from tests.doubles import Played
from tests.migrated import migrated

JOB = Job("job_1", "prj_1", "bank-a", "credit", "usr_1", "training", "training/2", {}, "ab" * 32,
          JobState.RUNNING, 5, 6)  # fmt: skip


async def test_the_loop_serves_while_a_script_works(tmp_path: Path) -> None:
    loop, working, served = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def script(job: Job) -> Script[dict[str, Any]]:
        del job
        yield Now()
        loop.call_soon_threadsafe(working.set)
        # Only the event loop sets it: work on the loop itself would wait in vain.
        return {"served": served.wait(120)}

    database = Database(migrated(tmp_path / "test.db"))
    await database.start()
    ended = asyncio.Event()
    nobody, no_log = cast("Asking", None), cast("Ledger", None)
    runner = Runner(
        database.begin, nobody, no_log, SigningKey.generate(), Played(script), lambda: 0,
        changed=lambda _: ended.set(),
    )  # fmt: skip
    async with database.begin() as unit:
        await unit.jobs.add(JOB)
        await unit.commit()
    runner.start(JOB.id)
    await working.wait()
    served.set()
    await ended.wait()
    await runner.stop()
    async with database.begin() as unit:
        job = await unit.jobs.get(JOB.id)
    await database.close()
    assert (job.state, job.report) == (JobState.SUCCEEDED, {"served": True})


@pytest.mark.parametrize("journalled", ["another effect", "one effect more than there is"])
async def test_a_script_that_no_longer_fits_its_journal_pauses(
    tmp_path: Path, journalled: str
) -> None:
    """What was answered to one question is never taken for the answer to another."""
    performed: list[int] = []

    def script(job: Job) -> Script[dict[str, Any]]:
        del job
        if journalled == "another effect":
            performed.append((yield Now()))
        return {"read": performed}

    database = Database(migrated(tmp_path / "test.db"))
    await database.start()
    ended = asyncio.Event()
    nobody, no_log = cast("Asking", None), cast("Ledger", None)
    runner = Runner(
        database.begin, nobody, no_log, SigningKey.generate(), Played(script), lambda: 0,
        changed=lambda _: ended.set(),
    )  # fmt: skip
    async with database.begin() as unit:
        await unit.jobs.add(JOB)
        await unit.journal.append(JOB.id, [Journalled(0, effect_digest(Move("running")), 7)])
        await unit.commit()
    runner.start(JOB.id)
    await ended.wait()
    await runner.stop()
    async with database.begin() as unit:
        job = await unit.jobs.get(JOB.id)
    await database.close()
    assert job.state == JobState.PAUSED
    assert (job.error or {})["code"] == "script_changed"
    assert performed == []


class Courier:
    """Parties that answer everything; `asked` are the verbs."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def ask(self, request: Request) -> dict[str, Any]:
        self.asked.append(request.verb)
        return {}

    async def withdraw(self, job: str) -> None:
        del job


async def test_a_cancelled_job_goes_on_cleaning_up_after_a_restart(tmp_path: Path) -> None:
    """The server was killed between the cancellation and the ends: they are asked for all the same.

    A cancellation that came in a second time would cut off what the parties sign at the end.
    """
    answers: list[Any] = []

    def script(job: Job) -> Script[dict[str, Any]]:
        del job
        try:
            yield Ask(("bank-a",), "train")
        except SecureFlowError as error:
            answers.append((yield Ask(("bank-a",), "finish", need=0)))
            raise error from None
        return {}

    database = Database(migrated(tmp_path / "test.db"))
    await database.start()
    ended, courier = asyncio.Event(), Courier()
    asking = Asking(cast("Any", courier), cast("Any", None))
    runner = Runner(
        database.begin, asking, cast("Ledger", None), SigningKey.generate(), Played(script),
        lambda: 0, changed=lambda _: ended.set() if answers else None,
    )  # fmt: skip
    told = SecureFlowError("cancelled", "Job job_1 was cancelled.").as_json()
    line = Journalled(0, effect_digest(Ask(("bank-a",), "train")), None, told)
    async with database.begin() as unit:
        await unit.jobs.add(replace(JOB, progress={"cancel": "usr_1"}))
        await unit.journal.append(JOB.id, [line])
        await unit.commit()
    runner.start(JOB.id)
    await ended.wait()
    await runner.stop()
    async with database.begin() as unit:
        job = await unit.jobs.get(JOB.id)
    await database.close()
    assert answers == [{"replies": {"bank-a": {}}, "failures": {}}]
    assert courier.asked == ["finish"]
    assert job.state == JobState.CANCELLED


async def test_watchers_are_woken_for_what_they_would_be_shown(tmp_path: Path) -> None:
    """Each waking reads the job and its events anew: an answer from a party is none of them."""
    owed: list[Any] = []

    def script(job: Job) -> Script[dict[str, Any]]:
        del job
        yield Ask(("bank-a",), "first")
        yield Ask(("bank-a",), "second")
        yield Tell("round", {"round": 1})
        yield Ask(("bank-a",), "third")
        return {}

    class Noting(Courier):
        async def ask(self, request: Request) -> dict[str, Any]:
            async with database.begin() as unit:
                owed.append(await unit.outbox.open_requests(JOB.id))
            woken.append(request.verb)
            return await super().ask(request)

    database = Database(migrated(tmp_path / "test.db"))
    await database.start()
    woken: list[str] = []
    asking = Asking(cast("Any", Noting()), cast("Any", None))
    runner = Runner(
        database.begin, asking, cast("Ledger", None), SigningKey.generate(), Played(script),
        lambda: 0, changed=lambda _: woken.append("woken"),
    )  # fmt: skip
    async with database.begin() as unit:
        await unit.jobs.add(JOB)
        await unit.commit()
    runner.start(JOB.id)
    await asyncio.gather(*runner._tasks.values())
    await runner.stop()
    async with database.begin() as unit:
        owed.append(await unit.outbox.open_requests(JOB.id))
    await database.close()
    assert woken == ["woken", "first", "second", "woken", "third", "woken"]
    assert owed == [[("bank-a", verb)] for verb in ("first", "second", "third")] + [[]]


async def test_a_fault_of_ours_that_comes_to_all_at_once_is_read() -> None:
    """A database that was away failed every question: the loop complained of those left unread."""

    class Courier:
        async def ask(self, request: Request) -> Any:
            del request
            raise fault("database_unavailable")

    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(str(told)))
    asking = Asking(cast("Any", Courier()), cast("Any", None))
    with pytest.raises(InfrastructureError):
        await asking.perform("job_1", 0, Ask(("bank-a", "bank-b"), "train"), asyncio.Event())
    await asyncio.sleep(0)
    gc.collect()
    assert complaints == []
