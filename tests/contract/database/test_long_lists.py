"""Lists of thousands: filters, order and cursors; and SQLite asks indexes, not documents."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from secureflow.adapters.database import entities
from secureflow.adapters.database.engine import Database, migrate
from secureflow.adapters.database.entities import EntityStore
from secureflow.adapters.database.log import SqlLedger
from secureflow.adapters.database.log_search import leaf_conditions
from secureflow.adapters.database.tables import JOBS, LOG_LEAVES
from secureflow.application.listing import Narrowing, narrowed
from secureflow.application.running.recording import server_leaf
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.specs.base import dump
from tests.contract.database.conftest import LOG_KEY, ORIGIN

JOB = Job("job_00", "prj_1", "bank-a", "Income Model", "ann", "training", "training/1", {},
          "ab" * 32, JobState.FAILED, 100, 6)  # fmt: skip
OTHERS = (
    replace(JOB, id="job_01", name="churn 100%", submitter="bob", created=200),
    replace(JOB, id="job_02", project="prj_2", name="Größe", created=300, kind="psi"),
    replace(JOB, id="job_03", name="income again", created=400, state=JobState.RUNNING),
)


async def fill(database: Database) -> None:
    async with database.begin() as work:
        for job in (JOB, *OTHERS):
            await work.jobs.add(job)
        await work.commit()


@pytest.mark.parametrize(
    ("narrowing", "equals", "found"),
    [
        (Narrowing(), {}, "0123"),
        (Narrowing(newest=True), {}, "3210"),
        (Narrowing("income"), {}, "03"),
        (Narrowing("INCOME  mod"), {}, "0"),
        (Narrowing("größe"), {}, "2"),
        (Narrowing("100%"), {}, "1"),
        (Narrowing("10_"), {}, ""),
        (Narrowing("job_0"), {}, "0123"),
        (Narrowing("bob"), {}, "1"),
        (Narrowing(since=200), {}, "123"),
        (Narrowing(until=200), {}, "0"),
        (Narrowing(since=200, until=400, newest=True), {}, "21"),
        (Narrowing(newest=True), {"submitter": "ann", "project": ["prj_1"]}, "30"),
        (Narrowing(), {"state": ["failed", "cancelled"], "kind": "training"}, "01"),
    ],
)
async def test_jobs_are_narrowed(
    database: Database, narrowing: Narrowing, equals: dict[str, Any], found: str
) -> None:
    await fill(database)
    async with database.begin() as work:
        page = await narrowed(work.jobs, narrowing, "", 50, **equals)
    assert [one.id[-1] for one in page.items] == list(found)


@pytest.mark.parametrize("newest", [False, True])
async def test_pages_follow_each_other(database: Database, newest: bool) -> None:
    await fill(database)
    got, cursor = "", ""
    async with database.begin() as work:
        while True:
            page = await narrowed(work.jobs, Narrowing(newest=newest), cursor, 1)
            got += "".join(one.id[-1] for one in page.items)
            if not (cursor := page.next):
                break
    assert got == ("3210" if newest else "0123")


async def test_a_list_reads_an_index_and_no_documents(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    await database.start()
    for kind, equals in (
        (entities.JOBS, {"project": ["a", "b"], "state": "failed", "text": "x", "since": 5}),
        (entities.JOBS, {"state": ["failed"]}),
        (entities.JOBS, {"text": "x"}),
        (entities.MODELS, {"project": ["a"], "name": "m", "text": "x"}),
        (entities.DATASETS, {"organisation": "a", "state": "published", "text": "x"}),
        (entities.USERS, {"organisation": "a", "text": "x"}),
    ):
        async with database.begin() as unit:
            store = EntityStore(unit, kind)  # type: ignore[var-annotated,arg-type]
            key = kind.table.c.id
            query = sa.select(key).where(*store._conditions(equals)).order_by(key.desc()).limit(51)
            plan = await _plan(database, query)
        assert "COVERING INDEX" in plan or ("text" not in equals and "SEARCH" in plan), plan
    await database.close()


async def test_a_search_of_the_log_scans_no_table(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    await database.start()
    for wanted, index in (
        (("job.proposed", "", "", (0, 0), 9), "ix_log_leaves_kind_number"),
        (("", "bank-a", "", (0, 0), 0), "ix_log_leaves_author_number"),
        (("", "", "job_1", (0, 0), 0), "ix_log_leaves_job_number"),
        (("", "", "", (0, 0), 9), "INTEGER PRIMARY KEY"),
    ):
        query = sa.select(LOG_LEAVES).where(*leaf_conditions(*wanted))
        plan = await _plan(database, query.order_by(LOG_LEAVES.c.number.desc()).limit(50))
        assert index in plan, plan
        assert "TEMP B-TREE" not in plan, plan
    await database.close()


async def _plan(database: Database, query: sa.Select[Any]) -> str:
    text = str(query.compile(database.engine.sync_engine, compile_kwargs={"literal_binds": True}))
    async with database.engine.connect() as connection:
        rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")
        return "\n".join(row[3] for row in rows)


async def test_the_log_is_searched(database: Database, ledger: SqlLedger) -> None:
    leaves = [
        server_leaf(kind, {"n": number}, ORIGIN, LOG_KEY, 100 * number, job=job, seq=number)
        for number, (kind, job) in enumerate(
            [("job.proposed", "job_1"), ("grant.created", ""), ("job_other", ""),
             ("job.resumed", "job_1")]
        )
    ]  # fmt: skip
    await ledger.append(leaves[:2])
    for one in leaves[2:]:
        await ledger.append([one])

    async def found(**wanted: Any) -> list[int]:
        return [one.index for one in await ledger.search(**wanted)]

    assert await found() == [3, 2, 1, 0]
    assert await found(limit=2) == [3, 2]
    assert await found(before=2) == [1, 0]
    assert await found(kind="job.") == [3, 0]
    assert await found(kind="job.resumed") == [3]
    assert await found(job="job_1") == [3, 0]
    assert await found(author="server", since=100, until=300) == [2, 1]
    assert await found(author="bank-a") == []


async def test_a_database_of_before_is_searched_too(
    url: str,
) -> None:
    """The migration fills in what is searched, from the documents; a damaged one stops nothing."""
    old = Database(url)
    async with old.engine.connect() as connection:
        await connection.run_sync(migrate, "0024")
        row = {
            "id": "job_9", "project": "prj_1", "organisation": "bank-a", "state": "failed",
            "digest": "ab" * 32, "kind": "training", "version": 1,
        }  # fmt: skip
        named = ", ".join(row)
        insert = sa.text(
            f"INSERT INTO jobs ({named}, doc) VALUES "
            f"({', '.join(f':{name}' for name in row)}, :doc)"
        )
        document = json.dumps(dump(replace(JOB, id="job_9")))
        await connection.execute(insert, {**row, "doc": document})
        await connection.execute(insert, {**row, "id": "job_broken", "doc": "{"})
        await connection.commit()
    await old.start()
    async with old.begin() as work:
        (job,) = (await narrowed(work.jobs, Narrowing("income ann"), "", 9)).items
        assert job.id == "job_9"
        rows = (await work.read(sa.select(JOBS.c.id, JOBS.c.submitter, JOBS.c.created))).all()
    assert sorted(map(tuple, rows)) == [("job_9", "ann", 100), ("job_broken", "", 0)]
    await old.close()
