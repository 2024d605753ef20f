"""Lists and counts ask indexes, what is dead goes, and what must be alone is alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from secureflow.adapters.database import entities
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.entities import EntityStore
from secureflow.adapters.database.log import SqlLedger
from secureflow.adapters.database.unit import ANSWERS_KEPT, ENROLMENT_KEPT
from secureflow.application.ports.storage import PendingLeaf
from secureflow.application.running.recording import server_leaf
from secureflow.domain.datasets import Grant
from secureflow.domain.organisations import Enrolment
from secureflow.domain.projects import Membership, Project
from secureflow.domain.sessions import Session
from secureflow.domain.users import Token
from tests.contract.database.conftest import LOG_KEY, ORIGIN

JSON = Any
DAY = 86_400


async def _fill(database: Database, store: str, rows: list[Any]) -> None:
    async with database.begin() as unit:
        for row in rows:
            await getattr(unit, store).add(row)
        await unit.commit()


async def _plan(database: Database, kind: Any, **equals: Any) -> str:
    """Return how SQLite would run the list, in the words of its planner."""
    async with database.begin() as unit:
        store = EntityStore(unit, kind)
        query = sa.select(kind.table).where(*store._conditions(equals))
        text = str(
            query.compile(database.engine.sync_engine, compile_kwargs={"literal_binds": True})
        )
        rows = await unit._open.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")
        return "\n".join(row[3] for row in rows)


async def test_projects_in_which_one_is_only_invited_cost_nothing(tmp_path: Path) -> None:
    """They were all loaded, by everybody who listed anything: 40,000 of them slowed all."""
    database = Database(f"sqlite:///{tmp_path}/a.db")
    await database.start()
    flood = [
        Project(f"prj_{n:04}", "x", "x", "mallory",
                (Membership("mallory", "active", 1), Membership("bank-a", "invited", 1)), 1)
        for n in range(400)
    ]  # fmt: skip
    mine = Project("prj_mine", "x", "x", "bank-a", (Membership("bank-a", "active", 1),), 1)
    await _fill(database, "projects", [*flood, mine])
    async with database.begin() as unit:
        assert [p.id for p in (await unit.projects.list(active="bank-a")).items] == ["prj_mine"]
        assert await unit.projects.count(member="bank-a") == 401
    plan = await _plan(database, entities.PROJECTS, active="bank-a")
    assert "ix_memberships_organisation" in plan
    assert "SCAN" not in plan
    await database.close()


@pytest.mark.parametrize(
    ("kind", "equals"),
    [
        (entities.TOKENS, {"user": "u", "unexpired": 5}),
        (entities.DATASETS, {"organisation": "o", "name": "n", "state": "published"}),
        (entities.DATASETS, {"id": ["a", "b"], "state": "published"}),
        (entities.GRANTS, {"project": ["p"], "state": "granted", "unexpired": 5}),
        (entities.GRANTS, {"dataset": "d", "state": "granted", "unexpired": 5}),
        (entities.JOBS, {"organisation": "o", "state": ["running"]}),
        (entities.AGENTS, {"party": ["p"]}),
    ],
)
async def test_no_list_reads_a_whole_table(tmp_path: Path, kind: Any, equals: Any) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    await database.start()
    assert "SCAN" not in await _plan(database, kind, **equals)
    await database.close()


async def test_what_expired_is_left_out(database: Database) -> None:
    grant = Grant("grt_1", "dst_1", "bank-a", "prj_1", ("age",), (), "usr_1", 5, 9)
    gone = replace(grant, id="grt_2", revoked=7)
    await _fill(database, "grants", [grant, gone])
    async with database.begin() as unit:
        assert await unit.grants.count(unexpired=8) == 2
        assert await unit.grants.count(unexpired=9) == 0
        assert await unit.grants.count(state="granted", unexpired=8) == 1
        with pytest.raises(TypeError):
            await unit.users.count(unexpired=8)
        await unit.grants.remove("grt_1")
        await unit.grants.remove("grt_1")  # it is gone already
        await unit.commit()
    async with database.begin() as unit:
        assert await unit.grants.find("grt_1") is None


async def test_the_sweeper_forgets_what_nobody_can_use(database: Database) -> None:
    now = 100 * DAY
    tokens = [Token(f"tok_{n}", "usr_1", f"{n}" * 64, 5, now + n - 1) for n in range(3)]
    old = now - ENROLMENT_KEPT
    enrolments = [
        Enrolment(f"enr_{n}", "agent", "bank-a", f"{n}" * 64, 5, old + n) for n in range(2)
    ]
    await _fill(database, "tokens", tokens)
    await _fill(database, "enrolments", enrolments)
    sessions = [
        Session(f"ses_{n}", "usr_1", f"{n}" * 64, 5, 5, now + n - 1, now + 9) for n in range(3)
    ]
    await _fill(database, "sessions", sessions)
    async with database.begin() as unit:
        for key, at in (("old", now - ANSWERS_KEPT), ("new", now - ANSWERS_KEPT + 1)):
            await unit.idempotency.remember("usr_1", key, "ab", 201, None, at)
        await unit.commit()
    async with database.begin() as unit:
        assert await unit.sweep(now) == 2 + 2 + 1 + 1
        await unit.commit()
    async with database.begin() as unit:
        assert [token.id for token in (await unit.tokens.list()).items] == ["tok_2"]
        assert [one.id for one in (await unit.sessions.list()).items] == ["ses_2"]
        assert [one.id for one in (await unit.enrolments.list()).items] == ["enr_1"]
        assert await unit.idempotency.find("usr_1", "old") is None
        assert await unit.idempotency.find("usr_1", "new") is not None


async def test_a_locked_name_makes_the_next_one_see_what_the_first_left(
    database: Database,
) -> None:
    inside = 0

    async def take_the_last_place(n: int) -> bool:
        nonlocal inside
        async with database.begin() as unit:
            await unit.lock("quota/bank-a")
            inside += 1
            assert inside == 1  # alone
            free = await unit.tokens.count(user="usr_1") == 0
            if free:
                await unit.tokens.add(Token(f"tok_{n}", "usr_1", f"{n}" * 64, 5, 9))
            await asyncio.sleep(0)
            inside -= 1
            await unit.commit()
        return free

    assert sum(await asyncio.gather(*(take_the_last_place(n) for n in range(5)))) == 1


async def test_an_action_that_belongs_to_no_job_has_a_number_of_64_bits(ledger: SqlLedger) -> None:
    """PostgreSQL's INTEGER has 32: `server init` ended in a traceback there."""
    seq = (1 << 53) - 1
    leaf: PendingLeaf = server_leaf("user.created", {"a": 1}, ORIGIN, LOG_KEY, 5, seq=seq)
    recorded = await ledger.append([leaf])
    assert recorded.indices == (0,)


async def test_no_error_of_the_database_quotes_what_was_stored(database: Database) -> None:
    secret = "the-salt-of-a-leaf"
    with pytest.raises(sa.exc.SQLAlchemyError) as caught:
        async with database.engine.connect() as connection:
            await connection.execute(sa.text("INSERT INTO nowhere (a) VALUES (:a)"), {"a": secret})
    assert secret not in str(caught.value)


@pytest.mark.parametrize("before", [None, 0o644])
async def test_a_database_file_is_its_owners_alone(tmp_path: Path, before: int | None) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o777)
    path = folder / "a.db"
    if before is not None:
        path.touch(before)
        path.with_name("a.db-wal").touch(before)
    database = Database(f"sqlite:///{path}")
    await database.start()
    async with database.begin() as unit:
        await unit.set_setting("charter", {"version": 1})
        await unit.commit()
    modes = {one.name: one.stat().st_mode & 0o777 for one in folder.iterdir()}
    await database.close()
    assert "a.db-wal" in modes
    assert set(modes.values()) == {0o600}
