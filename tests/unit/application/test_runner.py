"""The runner and its event loop: a script's own work keeps nobody waiting."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from secureflow.adapters.database.engine import Database
from secureflow.application.asking import Asking
from secureflow.application.ports import Journalled, Ledger
from secureflow.application.runner import Runner
from secureflow.domain.jobs import Job, JobState
from secureflow.engines.script import Move, Now, Script, effect_digest
from secureflow.kit.crypto import SigningKey

JOB = Job("job_1", "prj_1", "bank-a", "credit", "usr_1", "training", "training/1", {}, "ab" * 32,
          JobState.RUNNING, 5, 6)  # fmt: skip


async def test_the_loop_serves_while_a_script_works(tmp_path: Path) -> None:
    loop, working, served = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def script(job: Job) -> Script[dict[str, Any]]:
        del job
        yield Now()
        loop.call_soon_threadsafe(working.set)
        # Only the event loop sets it: work on the loop itself would wait in vain.
        return {"served": served.wait(20)}

    database = Database(f"sqlite:///{tmp_path}/test.db")
    await database.start()
    ended = asyncio.Event()
    nobody, no_log = cast("Asking", None), cast("Ledger", None)
    runner = Runner(
        database.begin, nobody, no_log, SigningKey.generate(), script, lambda: 0,
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

    database = Database(f"sqlite:///{tmp_path}/test.db")
    await database.start()
    ended = asyncio.Event()
    nobody, no_log = cast("Asking", None), cast("Ledger", None)
    runner = Runner(
        database.begin, nobody, no_log, SigningKey.generate(), script, lambda: 0,
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
