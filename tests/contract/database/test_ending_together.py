"""Jobs that end at once: more than the database has connections, and none waits in vain."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

from sqlalchemy.pool import QueuePool

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.application.ports.courier import Request
from secureflow.application.running.asking import Asking
from secureflow.application.running.runner import Runner
from secureflow.domain.jobs import Job, JobState
from secureflow.engines.ledger.ends import CLOSED, read_closed
from secureflow.engines.script import Ask, Record, Script
from secureflow.kit.errors import SecureFlowError
from tests.contract.database.conftest import LOG_KEY
from tests.doubles import Played
from tests.unit.application.test_runner import JOB


class Parties:
    """They answer when all jobs ask."""

    def __init__(self, jobs: int) -> None:
        self._jobs = asyncio.Barrier(jobs)

    async def ask(self, request: Request) -> dict[str, Any]:
        del request
        await self._jobs.wait()
        return {}

    async def withdraw(self, job: str) -> None:
        del job


def _script(job: Job) -> Script[dict[str, Any]]:
    del job
    yield Ask(("bank-a",), "train")
    yield Record(({"kind": CLOSED, "document": {"outcome": "succeeded", "ends": []}},))
    return {}


async def test_more_jobs_than_connections_close_at_once(
    database: Database, ledger: SqlLedger
) -> None:
    """Each that waits for its turn to write holds a connection: who has it must need no other."""
    pool = cast("QueuePool", database.engine.pool)
    jobs = [f"job_{n}" for n in range(pool.size() + pool._max_overflow + 5)]
    async with database.begin() as unit:
        for job in jobs:
            await unit.jobs.add(replace(JOB, id=job))
        await unit.commit()
    waited: list[str] = []

    def waits(job: str, _who: str, error: SecureFlowError | None) -> None:
        waited.extend([f"{job}: {error.code}"] if error else [])

    runner = Runner(
        database.begin, Asking(cast("Any", Parties(len(jobs))), cast("Any", None)), ledger, LOG_KEY,
        Played(_script), lambda: 0, lambda _: None, waits,
    )  # fmt: skip
    for job in jobs:
        runner.start(job)
    await asyncio.gather(*runner._tasks.values())
    await runner.stop()
    assert waited == []
    async with database.begin() as unit:
        states = [(await unit.jobs.get(job)).state for job in jobs]
    assert states == [JobState.SUCCEEDED] * len(jobs)
    closes = [entry for entry in await ledger.entries() if entry.kind == CLOSED]
    assert sorted(entry.job for entry in closes) == sorted(jobs)
    assert all(read_closed(entry.document) for entry in closes), "with the centre's own line"
