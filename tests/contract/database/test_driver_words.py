"""Jobs that an older version paused with a driver's words: told plainly, and gone on with."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.migrations.versions import v0009_driver_words as step
from secureflow.application.running.driving import resumes_by_itself
from secureflow.domain.jobs import Job, JobState

HINT = "The operator finds the trace in the server's log."
LOCKED = "OperationalError('(sqlite3.OperationalError) database is locked')"
CASES = {
    LOCKED: "database_busy",
    "OperationalError('(sqlite3.OperationalError) database or disk is full')": "disk_full",
    "OperationalError('(sqlite3.OperationalError) disk I/O error')": "database_unavailable",
    "OperationalError('(psycopg.OperationalError) the connection is closed')": (
        "database_unavailable"
    ),
    "OperationalError('(psycopg.errors.AdminShutdown) terminating connection')": (
        "database_unavailable"
    ),
    "OperationalError('(psycopg.errors.DiskFull) could not extend file')": "disk_full",
    "TimeoutError('QueuePool limit of size 5 overflow 10 reached')": "database_unavailable",
    "KeyError('secret')": "internal",
    "IntegrityError('INSERT INTO journal (job, seq) VALUES')": "internal",
}
LISTS = ("users", "datasets", "jobs", "models")
"""Tables whose lists can be searched since."""
WORDS = ("sqlite3", "psycopg", "Error(", "QueuePool", "INSERT", "secret", "terminating")


def paused(key: str, error: dict[str, Any]) -> Job:
    spec: dict[str, Any] = {"roster": []}
    return Job(key, "prj_1", "bank-a", "credit", "usr_1", "training", "training/2", spec,
               "ab" * 32, JobState.PAUSED, 5, 6, error=error)  # fmt: skip


async def stored(database: Database, jobs: list[Job]) -> None:
    """Store jobs and their events as the older version did."""
    async with database.begin() as unit:
        for job in jobs:
            error = job.error or {}
            await unit.jobs.add(job)
            state = {"state": "paused", "reason": error["message"]}
            await unit.events.append(job.id, "state", 6, state)
            await unit.events.append(job.id, "error", 6, error)
            await unit.events.append(job.id, "round", 6, {"round": 1})
        await unit.commit()


async def outdate(database: Database) -> None:
    """Give the database the older version's schema, and its number."""
    async with database.begin() as unit:
        await unit.write(
            sa.text(f"UPDATE alembic_version SET version_num = '{step.down_revision}'")
        )
        old = ("claims", "servers", "bundles", "uploads", "queue")
        people = ("sessions", "families", "devices", "second_factors", "identities", "login_places")
        told = ("questions", "notifications", "preferences", "webhooks", "deliveries")
        told += ("revenue", "anchor_statements")
        for later in (*old, *people, "pending_logins", *told, "changes"):
            await unit.write(sa.text(f"DROP TABLE {later}"))
        lists = [f"{table}_{what}" for table in LISTS for what in ("list", "all")]
        leaves = [f"log_leaves_{name}_number" for name in ("kind", "author", "at")]
        for index in (*lists, *leaves, "jobs_kind"):
            await unit.write(sa.text(f"DROP INDEX ix_{index}"))
        columns = [(table, name) for table in LISTS for name in ("created", "words")]
        for table, column in (*columns, ("jobs", "submitter"), ("jobs", "kind")):
            await unit.write(sa.text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        await unit.commit()


async def test_a_drivers_words_become_the_faults_name(url: str) -> None:
    database = Database(url)
    await database.start()
    jobs = [
        paused(
            f"job_{n}",
            {"code": "internal", "message": f"Job job_{n}: {text}", "hint": HINT, "details": {}},
        )
        for n, text in enumerate(CASES)
    ]
    kept = paused("job_kept", {"code": "script_changed", "message": "x", "hint": "", "details": {}})
    await stored(database, [*jobs, kept])
    async with database.begin() as unit:  # this one was cancelled afterwards
        gone = await unit.jobs.get("job_0")
        cancelled = {"code": "cancelled", "message": "", "hint": "", "details": {}}
        await unit.jobs.save(replace(gone, state=JobState.CANCELLED, error=cancelled))
        await unit.commit()
    await outdate(database)
    await database.close()
    database = Database(url)
    await database.start()
    async with database.begin() as unit:
        for job, code in zip(jobs, CASES.values(), strict=True):
            now = await unit.jobs.get(job.id)
            events = await unit.events.after(job.id, 0)
            shown = json.dumps([vars(now), *(event.data for event in events)], default=str)
            assert not [word for word in WORDS if word in shown], shown
            assert [event.kind for event in events] == ["state", "error", "round"]
            assert events[1].data["code"] == code
            if now.state is JobState.CANCELLED:
                continue
            assert (now.error or {})["code"] == code
            assert resumes_by_itself(now.error) is (code != "internal")
            assert events[1].data == now.error
            assert events[0].data["reason"] == (now.error or {})["message"]
        assert await unit.jobs.get("job_kept") == kept
    await database.close()


@pytest.mark.parametrize("message", ["Job job_9 met a defect of the server.", "Job job_8: x"])
async def test_what_this_version_or_another_job_says_stays(url: str, message: str) -> None:
    database = Database(url)
    await database.start()
    error = {"code": "internal", "message": message, "hint": "", "details": {}}
    await stored(database, [paused("job_9", error)])
    await outdate(database)
    await database.close()
    database = Database(url)
    await database.start()
    async with database.begin() as unit:
        assert (await unit.jobs.get("job_9")).error == error
    await database.close()
