"""What every store promises, over every database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from secureflow.adapters.database import records
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.tables import IDEMPOTENCY
from secureflow.application.ports.storage import (
    Claim,
    Heartbeat,
    Journalled,
    UnitOfWork,
    UnitOfWorkFactory,
)
from secureflow.domain.anchorstatements import AnchorRecord
from secureflow.domain.bundles import StoredBundle
from secureflow.domain.datasets import Dataset, Grant
from secureflow.domain.deliveries import Delivery, Webhook
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.logins import Device, LoginPlaces, SecondFactor, TokenFamily
from secureflow.domain.models import Model, Upload
from secureflow.domain.notifications import Preferences
from secureflow.domain.oidc import Identity, PendingLogin
from secureflow.domain.organisations import Agent, Enrolment, Organisation
from secureflow.domain.projects import (
    Freeze,
    Membership,
    Project,
    ProjectPerson,
    ProjectRole,
)
from secureflow.domain.questions import Question
from secureflow.domain.revenue import RevenueRecord
from secureflow.domain.schemas import ColumnConfig
from secureflow.domain.sessions import Session
from secureflow.domain.users import Role, Token, User
from secureflow.kit.errors import SecureFlowError

USER = User("usr_1", "ann", "Ann Ä 安", "bank-a", (Role.DATA_OWNER, Role.AUDITOR), "$argon2", 5)
JOB = Job("job_1", "prj_1", "bank-a", "credit", "usr_1", "training", "training/1",
          {"big": 1e300, "nul": "\x00", "tiny": 1.0, "deep": [{"a": None}]}, "ab" * 32,
          JobState.DRAFT, 5, 6, progress={"round": 1})  # fmt: skip
PROJECT = Project("prj_1", "credit", "risk", "bank-a", (
    Membership("bank-a", "active", 5), Membership("bank-b", "invited", 6),
    Membership("bank-c", "left", 7)), 5, frozen=Freeze("", "usr_1", 8, "why"), ends=9,
    people=(ProjectPerson("usr_1", "bank-a", (ProjectRole.LEAD, ProjectRole.AUDITOR), 6),),
)  # fmt: skip
COLUMN = ColumnConfig("age", "number", bounds=(0.0, 120.0), sensitive=True)
ENTITIES: list[tuple[str, Any, dict[str, str]]] = [
    ("users", USER, {"name": "ann", "organisation": "bank-a"}),
    ("tokens", Token("tok_1", "usr_1", "cd" * 32, 5, 9), {"user": "usr_1", "digest": "cd" * 32}),
    ("sessions", Session("ses_1", "usr_1", "ab" * 32, 5, 6, 9, 20, "password", "10.0.0.1"),
     {"user": "usr_1", "digest": "ab" * 32}),
    ("families", TokenFamily("fam_1", "usr_1", 5, 9, 20, 3, 6, "password"), {"user": "usr_1"}),
    ("devices", Device("dev_1", "ab" * 32, "cd" * 32, "laptop", "10.0.0.1", 5, 9),
     {"code": "cd" * 32, "digest": "ab" * 32, "user": ""}),
    ("second_factors", SecondFactor("usr_1", "c2VhbGVk", 5, 6, 7, ("ab" * 32,)), {}),
    ("login_places", LoginPlaces("usr_1", ("ab" * 16,)), {}),
    ("organisations", Organisation("bank-a", "Bank A", 5), {}),
    ("enrolments", Enrolment("enr_1", "agent", "bank-a", "ef" * 32, 5, 9),
     {"organisation": "bank-a", "digest": "ef" * 32}),
    ("agents", Agent("spiffe://x/org/bank-a/agent/main", "agent", "bank-a", "bank-a", "KEY", 5),
     {"organisation": "bank-a", "party": "bank-a", "kind": "agent", "key": "KEY"}),
    ("projects", PROJECT, {"organisation": "bank-a", "member": "bank-b"}),
    ("datasets", Dataset("dst_1", "bank-a", "adult", "Adult", (COLUMN,), "10k-50k", "ab" * 32, 5),
     {"organisation": "bank-a", "name": "adult", "state": "published", "id": "dst_1"}),
    ("grants", Grant("grt_1", "dst_1", "bank-a", "prj_1", ("age",), (), "usr_1", 5, 9),
     {"project": "prj_1", "dataset": "dst_1", "organisation": "bank-a", "state": "granted"}),
    ("jobs", JOB, {"project": "prj_1", "organisation": "bank-a", "state": "draft",
                   "digest": "ab" * 32}),
    ("models", Model("mdl_1", "prj_1", "job_1", "credit", 1, "ab" * 32, "cd" * 32, "logistic",
                     {"auc": 0.9}, 5, card={"k": [1]}),
     {"project": "prj_1", "job": "job_1", "name": "credit"}),
    ("bundles", StoredBundle(f"prj_1.{'ef' * 32}", "prj_1", "ef" * 32, "bank-a", "ana", "churn",
                             100, 1, 2, 5, 9),
     {"project": "prj_1", "organisation": "bank-a", "digest": "ef" * 32}),
    ("uploads", Upload("upl_1", "prj_1", "ef" * 32, "01" * 32, "bank-a", "ana", 4 << 30, 5, 9),
     {"project": "prj_1", "organisation": "bank-a", "digest": "ef" * 32}),
    ("identities", Identity("idn_1", "usr_1", "sso", "https://sso.example", "248289761001", 5),
     {"user": "usr_1"}),
    ("pending_logins", PendingLogin("ab" * 32, "sso", "cd" * 32, "/jobs", 5, 9), {}),
    ("revenue", RevenueRecord("ab" * 32, "prj_1", "deed", 5, {"statement": {}}, "cd" * 32, "a"),
     {"project": "prj_1", "kind": "deed", "settlement": "cd" * 32, "organisation": "a"}),
    ("anchor_statements",
     AnchorRecord("1.ab", "ab" * 32, "a", "file:cd", "anchor", "", 5, 9, {"a": 1}),
     {"organisation": "a", "place": "file:cd", "kind": "anchor", "digest": "ab" * 32}),
    ("questions", Question("job_1.bank-a.1", "job_1", "bank-a", 1, "Why?", "ab" * 16, 5),
     {"job": "job_1", "organisation": "bank-a"}),
    ("preferences", Preferences("usr_1", "zh", "ann@example.org", mailed=("job_ended",)), {}),
    ("webhooks", Webhook("whk_1", "bank-a", "https://siem.example/", ("job_ended",), 5, "usr_1",
                         "c2VhbGVk"), {"organisation": "bank-a"}),
    ("deliveries", Delivery("dlv_1", "ev_1", "webhook", "whk_1", "bank-a", "test", 5, {"a": 1}, 5,
                            6), {"channel": "webhook", "target": "whk_1", "state": "waiting"}),
]  # fmt: skip


def keeps_the_port(database: Database) -> UnitOfWork:
    """The type checker's part of the contract."""
    begin: UnitOfWorkFactory = database.begin
    return begin()


def code_of(caught: pytest.ExceptionInfo[SecureFlowError]) -> str:
    return caught.value.code


async def kept(database: Database, name: str, entity: Any) -> None:
    async with database.begin() as unit:
        await getattr(unit, name).add(entity)
        await unit.commit()


@pytest.mark.parametrize(("name", "entity", "filters"), ENTITIES, ids=[e[0] for e in ENTITIES])
async def test_an_entity_comes_back_complete(
    database: Database, name: str, entity: Any, filters: dict[str, str]
) -> None:
    await kept(database, name, entity)
    async with database.begin() as unit:
        store = getattr(unit, name)
        assert await store.get(entity.id) == entity
        assert await store.find(entity.id) == entity
        assert await store.find("nobody") is None
        for column, value in filters.items():
            assert (await store.list(**{column: value})).items == [entity]
            assert (await store.list(**{column: ["x", value]})).items == [entity]
            assert (await store.list(**{column: "x"})).items == []
            assert (await store.list(**{column: []})).items == []
        with pytest.raises(SecureFlowError) as caught:
            await store.get("nobody")
        assert code_of(caught) == "not_found"
        with pytest.raises(TypeError, match="no filter column"):
            await store.list(colour="red")


async def test_nothing_is_kept_without_commit(database: Database) -> None:
    async with database.begin() as unit:
        await unit.users.add(USER)
        assert await unit.users.get(USER.id) == USER
    async with database.begin() as unit:
        assert await unit.users.find(USER.id) is None


async def test_a_unit_of_work_sees_others_only_after_their_commit(database: Database) -> None:
    async with database.begin() as writer, database.begin() as reader:
        await writer.users.add(USER)
        assert await reader.users.find(USER.id) is None
        await writer.commit()
        assert await reader.users.find(USER.id) == USER


async def test_ids_and_unique_columns_are_taken_once(database: Database) -> None:
    await kept(database, "users", USER)
    for twin in (USER, replace(USER, id="usr_2")):
        async with database.begin() as unit:
            with pytest.raises(SecureFlowError) as caught:
                await unit.users.add(twin)
            assert code_of(caught) == "already_exists"
            await unit.organisations.add(Organisation(twin.id.replace("_", "-"), "x", 1))
            await unit.commit()  # a refused add spoils nothing else
    async with database.begin() as unit:
        assert len((await unit.organisations.list()).items) == 2
        await unit.users.add(replace(USER, id="usr_3", name="bob"))
        await unit.commit()
    async with database.begin() as unit:
        with pytest.raises(SecureFlowError) as caught:
            await unit.users.save(replace(USER, id="usr_3"))
        assert code_of(caught) == "already_exists"
        with pytest.raises(SecureFlowError):
            await unit.commit()  # half of a change is never committed
    async with database.begin() as unit:
        assert (await unit.users.get("usr_3")).name == "bob"


async def test_save_replaces_and_moves_the_filters(database: Database) -> None:
    await kept(database, "jobs", JOB)
    async with database.begin() as unit:
        job = await unit.jobs.get(JOB.id)
        await unit.jobs.save(replace(job, state=JobState.PROPOSED))
        await unit.jobs.save(replace(job, state=JobState.APPROVED))
        await unit.commit()
    async with database.begin() as unit:
        assert (await unit.jobs.list(state="draft")).items == []
        assert (await unit.jobs.list(state="approved")).items[0].state is JobState.APPROVED
        with pytest.raises(SecureFlowError) as caught:
            await unit.jobs.save(replace(JOB, id="job_x"))
        assert code_of(caught) == "not_found"


async def test_a_lost_update_is_refused(database: Database) -> None:
    await kept(database, "users", USER)
    async with database.begin() as slow:
        read = await slow.users.get(USER.id)
        async with database.begin() as quick:
            await quick.users.save(replace(await quick.users.get(USER.id), display="Quick"))
            await quick.commit()
        with pytest.raises(SecureFlowError) as caught:
            await slow.users.save(replace(read, display="Slow"))
        assert code_of(caught) == "stale_version"
    async with database.begin() as unit:
        assert (await unit.users.get(USER.id)).display == "Quick"


async def test_concurrent_increments_lose_nothing(database: Database) -> None:
    await kept(database, "users", replace(USER, created=0))

    async def increment() -> None:
        while True:
            async with database.begin() as unit:
                user = await unit.users.get(USER.id)
                try:
                    await unit.users.save(replace(user, created=user.created + 1))
                    await unit.commit()
                except SecureFlowError as error:
                    assert error.code == "stale_version"  # noqa: PT017 - else retry
                    continue
                return

    await asyncio.gather(*(increment() for _ in range(10)))
    async with database.begin() as unit:
        assert (await unit.users.get(USER.id)).created == 10


async def test_lists_page_by_id(database: Database) -> None:
    async with database.begin() as unit:
        for i in range(7):
            await unit.users.add(replace(USER, id=f"usr_{i}", name=f"n{i}"))
        await unit.commit()
    seen: list[str] = []
    cursor = ""
    async with database.begin() as unit:
        while True:
            page = await unit.users.list(cursor=cursor, limit=3)
            seen += [user.id for user in page.items]
            cursor = page.next
            if not cursor:
                break
        assert seen == [f"usr_{i}" for i in range(7)]
        assert (await unit.users.list(limit=7)).next == ""


async def test_only_present_members_find_a_project(database: Database) -> None:
    await kept(database, "projects", PROJECT)
    async with database.begin() as unit:
        for member, found in (("bank-a", 1), ("bank-b", 1), ("bank-c", 0), ("bank", 0),
                              ("bank%", 0), ("bank_a", 0), ("", 0)):  # fmt: skip
            assert len((await unit.projects.list(member=member)).items) == found, member
            assert await unit.projects.count(member=member) == found
        assert await unit.projects.count(active="bank-a") == 1
        assert await unit.projects.count(active="bank-b") == 0  # only invited
        left = tuple(replace(member, state="left") for member in PROJECT.members)
        await unit.projects.save(replace(PROJECT, members=left))
        assert await unit.projects.count(member=["bank-a", "bank-b"]) == 0


async def test_the_journal_is_a_fence(database: Database) -> None:
    lines = [Journalled(0, "d0", {"a": [1.0, "\x00"]}), Journalled(1, "d1", None, {"code": "x"})]
    async with database.begin() as unit:
        await unit.journal.append("job_1", lines)
        await unit.journal.append("job_2", [Journalled(0, "other")])
        await unit.journal.append("job_2", [])
        await unit.commit()
    async with database.begin() as unit:
        assert await unit.journal.read("job_1") == lines
        await unit.users.add(USER)
        with pytest.raises(SecureFlowError) as caught:
            await unit.journal.append("job_1", [Journalled(1, "d1"), Journalled(2, "d2")])
        assert code_of(caught) == "fenced"
        with pytest.raises(SecureFlowError):
            await unit.commit()
    async with database.begin() as unit:
        assert await unit.journal.read("job_1") == lines
        assert await unit.users.find(USER.id) is None


async def test_of_two_replicas_one_answers_an_effect(
    database: Database, another: Callable[[], Database]
) -> None:
    async def answer(replica: Database) -> str:
        async with replica.begin() as unit:
            try:
                await unit.journal.append("job_1", [Journalled(0, "d")])
                await unit.commit()
            except SecureFlowError as error:
                return error.code
            return "answered"

    both = await asyncio.gather(answer(database), answer(another()))
    assert sorted(both) == ["answered", "fenced"]


async def test_the_outbox_knows_who_owes(database: Database) -> None:
    async with database.begin() as unit:
        await unit.outbox.put("job_1", 3, "train", ["bank-b", "bank-a"])
        await unit.outbox.put("job_1", 3, "train", ["bank-a"])
        await unit.outbox.put("job_1", 4, "close", ["bank-a"])
        await unit.outbox.put("job_2", 3, "train", ["bank-c"])
        await unit.outbox.put("job_2", 4, "train", [])
        await unit.commit()
    async with database.begin() as unit:
        owed = await unit.outbox.open_requests("job_1")
        assert owed == [("bank-a", "train"), ("bank-b", "train"), ("bank-a", "close")]
        await unit.outbox.clear("job_1", 3)
        assert await unit.outbox.open_requests("job_1") == [("bank-a", "close")]
        assert await unit.outbox.open_requests("job_2") == [("bank-c", "train")]


async def test_events_resume_after_any_id(database: Database) -> None:
    async with database.begin() as unit:
        first = await unit.events.append("job_1", "state", 5, {"state": "running"})
        await unit.events.append("job_2", "state", 5, {})
        second = await unit.events.append("job_1", "round", 6, {"loss": 0.5})
        await unit.commit()
    assert second > first
    async with database.begin() as unit:
        events = await unit.events.after("job_1", 0)
        assert [(e.id, e.kind, e.at, e.data) for e in events] == [
            (first, "state", 5, {"state": "running"}),
            (second, "round", 6, {"loss": 0.5}),
        ]
        assert await unit.events.after("job_1", first) == events[1:]
        assert await unit.events.after("job_1", 0, limit=1) == events[:1]


async def test_a_later_event_never_shows_before_an_earlier_one(database: Database) -> None:
    """Else a watcher that resumes after the later id would miss the earlier one for good."""

    async def tell() -> None:
        async with database.begin() as unit:
            await unit.events.append("job_1", "late", 2, {})
            await unit.commit()

    async with database.begin() as slow:
        await slow.events.append("job_1", "early", 1, {})
        late = asyncio.create_task(tell())
        async with database.begin() as watcher:
            done, _ = await asyncio.wait([late], timeout=0.2)
            assert not done
            assert await watcher.events.after("job_1", 0) == []
        await slow.commit()
        await late
    async with database.begin() as watcher:
        assert [e.kind for e in await watcher.events.after("job_1", 0)] == ["early", "late"]


async def test_settings_hold_any_json(database: Database) -> None:
    async with database.begin() as unit:
        assert await unit.setting("charter") is None
        await unit.set_setting("charter", {"version": 1})
        await unit.set_setting("charter", {"version": 2})
        await unit.set_setting("off", None)
        await unit.commit()
    async with database.begin() as unit:
        assert await unit.setting("charter") == {"version": 2}
        assert await unit.setting("off") is None
        await unit.set_setting("charter", [1])
        await unit.commit()
    async with database.begin() as unit:
        await unit.set_setting("charter", "blind")
        await unit.commit()


async def test_a_setting_that_changed_meanwhile_is_not_overwritten(database: Database) -> None:
    for before in (None, {"version": 1}):
        async with database.begin() as slow:
            assert await slow.setting("charter") == before
            async with database.begin() as quick:
                await quick.set_setting("charter", {"version": 1})
                await quick.commit()
            with pytest.raises(SecureFlowError) as caught:
                await slow.set_setting("charter", {"version": "lost"})
            assert code_of(caught) == "stale_version"


async def test_answers_to_an_erased_user_and_about_them_are_forgotten(
    database: Database,
) -> None:
    async with database.begin() as unit:
        for user, key, body in (
            *(("usr_1", "own", None), ("usr_2", "about", {"of": [{"id": "usr_1", "n": "Ä"}]})),
            *(("usr_2", "other", {"id": "usr%1"}), ("usr_2", "none", None)),
        ):
            await unit.idempotency.remember(user, key, "ab", 201, body, 7)
        await unit.idempotency.forget("usr_1")
        await unit.commit()
    async with database.begin() as unit:
        left = [
            key
            for user, key in (("usr_1", "own"), *(("usr_2", k) for k in ("about", "other", "none")))
            if await unit.idempotency.find(user, key)
        ]
    assert left == ["other", "none"]


async def test_an_idempotency_key_keeps_the_first_answer(database: Database) -> None:
    async with database.begin() as unit:
        assert await unit.idempotency.find("usr_1", "k") is None
        await unit.idempotency.remember("usr_1", "k", "ab", 201, {"id": "job_1"}, 7)
        await unit.commit()
    async with database.begin() as unit:
        assert await unit.idempotency.find("usr_1", "k") == ("ab", 201, {"id": "job_1"})
        assert await unit.idempotency.find("usr_2", "k") is None
        with pytest.raises(SecureFlowError) as caught:
            await unit.idempotency.remember("usr_1", "k", "cd", 201, None, 8)
        assert code_of(caught) == "fenced"


@pytest.mark.postgres
async def test_a_service_that_was_restarted_is_used_again(
    empty_postgres: Callable[[], str],
) -> None:
    """Its pooled connections are dead then: each failed one request as a defect."""
    url = empty_postgres()
    database, other = Database(url), Database(url)
    await database.start()
    try:
        await kept(database, "users", USER)
        async with other.engine.connect() as connection:
            mine = "datname = current_database() AND pid <> pg_backend_pid()"
            end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"
            assert (await connection.exec_driver_sql(end)).all()
        async with database.begin() as unit:
            assert await unit.users.find(USER.id) == USER
    finally:
        await database.close()
        await other.close()


async def test_a_database_that_is_away_is_called_that(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such/folder.db", f"postgresql://sf@/x?host={tmp_path}"):
        database = Database(url)
        with pytest.raises(SecureFlowError) as caught:
            async with database.begin():
                pass
        assert code_of(caught) == "database_unavailable"
        await database.close()
    # The driver does not wait for the thread of a connection that failed: it would come back to a
    # loop that another test's end has closed.
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join)


async def test_of_one_user_the_newest_answers_are_kept(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_ANSWERS", 20)
    monkeypatch.setattr(records, "FORGOTTEN_ANSWERS", 5)
    unit: Any = database.begin()
    async with unit:
        await unit.idempotency.remember("usr_2", "k0", "ab", 201, None, 0)
        for n in range(100):
            await unit.idempotency.remember("usr_1", f"k{n % 7}{n}", "ab", 201, None, n)
            kept = sa.select(IDEMPOTENCY.c.at).where(IDEMPOTENCY.c.user == "usr_1")
            found = sorted(row.at for row in await unit.read(kept))
            assert len(found) <= 20
            assert found == list(range(found[0], n + 1))
        assert found[0] >= 80
        assert await unit.idempotency.find("usr_2", "k0") is not None  # each has their own
        await unit.commit()


async def test_starting_again_changes_nothing(
    database: Database, another: Callable[[], Database]
) -> None:
    await kept(database, "users", USER)
    again = another()
    await asyncio.gather(again.start(), database.start())
    async with again.begin() as unit:
        assert await unit.users.get(USER.id) == USER


async def test_replicas_that_start_at_once_migrate_once(
    another: Callable[[], Database],
) -> None:
    replicas = [another() for _ in range(3)]
    await asyncio.gather(*(replica.start() for replica in replicas))
    await kept(replicas[0], "users", USER)
    async with replicas[2].begin() as unit:
        assert await unit.users.get(USER.id) == USER


async def test_a_unit_of_work_ends_with_its_block(database: Database) -> None:
    async with database.begin() as unit:
        pass
    with pytest.raises(RuntimeError, match="outside its block"):
        await unit.users.find("usr_1")


async def test_a_cancelled_writer_gives_its_turn_back(database: Database) -> None:
    holding = asyncio.Event()

    async def hold() -> None:
        async with database.begin() as unit:
            await unit.users.add(USER)
            holding.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await holding.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await kept(database, "users", USER)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"replies": {}},
        {"replies": {"a": {"x": [1, None, 1e300]}, 'q"': None}},
        [1],
        7,
        "",
    ],
)
async def test_a_journalled_answer_comes_back_as_it_was(database: Database, answer: Any) -> None:
    line = Journalled(0, "ab" * 32, answer, None if answer is None else {"code": "x", "é": {}})
    async with database.begin() as unit:
        await unit.journal.append("job_1", [line])
        await unit.commit()
    async with database.begin() as unit:
        assert await unit.journal.read("job_1") == [line]


async def test_one_server_has_a_job_and_others_can_call_it(database: Database) -> None:
    async with database.begin() as unit:
        await unit.claims.take("job_1", "a", None)
        await unit.claims.take("job_2", "a", None)
        await unit.commit()
    for before in (None, "c"):  # neither free, nor that one's
        async with database.begin() as unit:
            with pytest.raises(SecureFlowError) as caught:
                await unit.claims.take("job_1", "b", before)
            assert code_of(caught) == "fenced"
    async with database.begin() as unit:
        await unit.claims.take("job_1", "b", "a")
        await unit.claims.call("job_1")
        await unit.claims.release("job_2")
        await unit.commit()
    async with database.begin() as unit:
        assert await unit.claims.every() == [Claim("job_1", "b", 1)]
        assert await unit.claims.of("job_1") == Claim("job_1", "b", 1)
        assert await unit.claims.of("job_2") is None


async def test_servers_count_up_until_they_are_forgotten(database: Database) -> None:
    for server in ("a", "a", "b"):
        async with database.begin() as unit:
            await unit.claims.heartbeat(server, f"host-{server}:1")
            await unit.commit()
    async with database.begin() as unit:
        beats = sorted(await unit.claims.heartbeats(), key=lambda beat: beat.server)
        assert beats == [Heartbeat("a", "host-a:1", 1), Heartbeat("b", "host-b:1", 0)]
        await unit.claims.forget("a")
        assert [beat.server for beat in await unit.claims.heartbeats()] == ["b"]
