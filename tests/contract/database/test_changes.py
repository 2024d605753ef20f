"""The feed of changes: nobody who goes on from where they were misses or repeats anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

import sqlalchemy as sa

from secureflow.adapters.database import noted
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.tables import CHANGES, Written
from secureflow.application.access import Principal
from secureflow.application.feed import Feed
from secureflow.application.live import Live
from secureflow.application.ports.changes import Change, ChangeKind
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.notifications import Notification
from secureflow.domain.projects import Membership, Project
from secureflow.domain.users import Role

JOB = Job("job_1", "prj_1", "bank-a", "credit", "ann", "training", "training/1", {}, "ab" * 32,
          JobState.DRAFT, 5, 6)  # fmt: skip
START = (0, 0)


async def note(database: Database, about: str) -> None:
    async with database.begin() as work:
        work.changes.note(ChangeKind.LINK, about, data={"connected": True})
        await work.commit()


async def after(database: Database, position: tuple[int, int] = START) -> list[Change]:
    async with database.begin() as work:
        return list(await work.changes.after(position))


async def test_what_is_committed_is_read_in_order_and_once(database: Database) -> None:
    for party in ("bank-a", "bank-b"):
        await note(database, party)
    first, second = await after(database)
    assert [first.about, second.about] == ["bank-a", "bank-b"]
    assert first.position < second.position
    assert (first.kind, first.data) == (ChangeKind.LINK, {"connected": True})
    assert await after(database, first.position) == [second]
    assert await after(database, second.position) == []


async def test_what_is_rolled_back_is_no_change(database: Database) -> None:
    async with database.begin() as work:
        work.changes.note(ChangeKind.LINK, "bank-a")
        await work.jobs.add(JOB)
    assert await after(database) == []


async def test_a_job_changes_once_in_a_unit_of_work(database: Database) -> None:
    async with database.begin() as work:
        await work.jobs.add(JOB)
        await work.jobs.save(replace(JOB, state=JobState.PROPOSED))
        await work.commit()
    async with database.begin() as work:
        key = await work.events.append("job_1", "state", 7, {"state": "approved"})
        await work.jobs.save(replace(JOB, state=JobState.APPROVED))
        await work.commit()
    assert [(one.kind, one.about, one.ref) for one in await after(database)] == [
        (ChangeKind.JOB, "job_1", 0),
        (ChangeKind.EVENT, "job_1", key),
    ]
    async with database.begin() as work:
        (event,) = await work.events.of([key])
    assert (event.kind, event.data) == ("state", {"state": "approved"})


async def test_notifications_and_their_marks_are_changes_of_their_person(
    database: Database,
) -> None:
    told = [Notification(0, user, "job_failed", 1, {}) for user in ("usr_a", "usr_b")]
    for _ in range(2):  # the second time it is known
        async with database.begin() as work:
            await work.notifications.add("log/1", told)
            await work.commit()
    async with database.begin() as work:
        assert await work.notifications.mark("usr_a", 7) == 1
        assert await work.notifications.mark("usr_a", 8) == 0
        await work.commit()
    found = [(one.kind, one.about) for one in await after(database)]
    assert sorted(found[:2]) == [
        (ChangeKind.NOTIFICATION, "usr_a"),
        (ChangeKind.NOTIFICATION, "usr_b"),
    ]
    assert found[2:] == [(ChangeKind.READ, "usr_a")]


async def test_a_change_that_commits_late_is_not_passed_over(
    database: Database, another: Callable[[], Database]
) -> None:
    """The first one writes first and commits last: nobody may be given the second before it."""
    if database.turn.exclusive:  # SQLite: there is one writer
        return
    slow = another()
    async with slow.begin() as work:
        work.changes.note(ChangeKind.LINK, "first")
        rows, work.noted = noted.noted_rows(work.noted), {}
        await work.write(noted.insert_noted(single_writer=False), rows)
        await note(database, "second")
        given = await after(database)
        assert [one.about for one in given] == []
        async with database.begin() as reader:
            assert await reader.changes.newest() is None
        await work.commit()
    assert [one.about for one in await after(database)] == ["first", "second"]


async def test_a_cursor_is_good_at_every_server_and_after_a_restart(
    database: Database, another: Callable[[], Database]
) -> None:
    await note(database, "bank-a")
    async with database.begin() as work:
        newest = await work.changes.newest()
    assert newest is not None
    await note(database, "bank-b")
    async with another().begin() as work:
        number, _, mark = newest.cursor.partition("-")
        found = await work.changes.find(int(number), mark)
        assert found == newest
        (missed,) = await work.changes.after(found.position)
        assert await work.changes.find(int(number), "0" * 10) is None
    assert missed.about == "bank-b"


async def test_old_changes_are_forgotten(database: Database, monkeypatch: object) -> None:
    monkeypatch.setattr(noted, "MOST_KEPT", 2)  # type: ignore[attr-defined]
    for number in range(5):
        await note(database, f"party-{number}")
    async with database.begin() as work:
        assert await work.sweep(0) == 3
        await work.commit()
    assert [one.about for one in await after(database)] == ["party-3", "party-4"]


async def test_changes_of_another_cluster_are_dropped_at_the_start(database: Database) -> None:
    """Transaction ids of the cluster that a dump came from may be larger than any here."""
    if database.turn.exclusive:
        return
    async with database.begin() as work:
        row = {"tx": 1 << 60, "mark": "x", "kind": "link", "about": "old", "ref": 0, "data": {}}
        await work.write(sa.insert(CHANGES), [row])
        await work.commit()
    async with database.begin() as work:
        await work.changes.open()
        await work.commit()
    assert [one.kind for one in await after(database)] == [ChangeKind.START]
    async with database.begin() as work:
        assert (await work.read(sa.select(CHANGES.c.about))).scalars().all() == [""]


async def test_a_row_that_cannot_be_read_stops_no_reader(database: Database) -> None:
    await note(database, "bank-a")
    await note(database, "bank-b")
    await note(database, "bank-c")
    async with database.begin() as work:
        broken = sa.update(CHANGES).where(CHANGES.c.about == "bank-a")
        await work.write(broken.values(data=Written("{")))
        later = sa.update(CHANGES).where(CHANGES.c.about == "bank-b")
        await work.write(later.values(kind="of a later version"))
        await work.commit()
    assert [one.about for one in await after(database)] == ["", "", "bank-c"]


async def test_commits_that_changed_something_wake_the_reader(database: Database) -> None:
    woken: list[int] = []
    database.on_change = lambda: woken.append(1)
    async with database.begin() as work:
        await work.set_setting("x", 1)
        await work.commit()
    assert woken == []
    await note(database, "bank-a")
    assert woken == [1]


async def test_reading_on_scans_no_table(database: Database) -> None:
    if not database.turn.exclusive:
        return
    async with database.engine.connect() as connection:
        plan = await connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT * FROM changes WHERE (tx, id) > (0, 5) "
            "ORDER BY tx, id LIMIT 5"
        )
        (line,) = [row[3] for row in plan]
    assert "USING INDEX ix_changes_tx_id" in line


async def test_a_page_is_told_what_another_server_did_and_resumes_there(
    database: Database, another: Callable[[], Database]
) -> None:
    """Two servers of one database; the second takes over the page that was at the first."""
    operator = Principal("usr_o", "ops", "", frozenset({Role.PLATFORM_ADMIN}), "tok_o")
    here, there = database, another()
    members = (Membership("bank-a", "active", 1),)
    async with here.begin() as work:
        await work.projects.add(Project("prj_1", "p", "p", "bank-a", members, 1))
        await work.jobs.add(JOB)
        await work.commit()

    async def move(at: Database, number: int) -> None:
        async with at.begin() as work:
            await work.events.append("job_1", "round", number, {"round": number})
            await work.commit()

    def live(at: Database) -> Live:
        feed = Feed(at.begin, lambda: 1, look=0.01)
        at.on_change = feed.changed
        return Live(at.begin, feed, lambda: 0.0, lambda: False)

    got = []
    async with asyncio.timeout(60):
        async with aclosing(live(here).messages(operator, jobs=["job_1"])) as first:
            assert (await anext(first)).kind == "hello"
            for number in range(3):
                await move(there, number)
            got += [await anext(first) for _ in range(2)]
        await move(here, 3)
        second = live(there).messages(operator, got[-1].cursor, ["job_1"])
        async with aclosing(second):
            got += [await anext(second) for _ in range(2)]
            await move(here, 4)
            got.append(await anext(second))
    assert [one.data["event"]["data"]["round"] for one in got] == [0, 1, 2, 3, 4]
