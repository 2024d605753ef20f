"""The store of notifications keeps order, marks and bounds, in every database."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from secureflow.adapters.database.engine import Database
from secureflow.domain.deliveries import Delivery
from secureflow.domain.notifications import Notification
from secureflow.kit.errors import SecureFlowError


def told(*users: str, at: int = 1) -> list[Notification]:
    return [
        Notification(0, user, "job_failed", at, {"job": "job_1", "code": "x"}) for user in users
    ]


async def add(database: Database, event: str, *users: str) -> list[str]:
    async with database.begin() as work:
        new = await work.notifications.add(event, told(*users))
        await work.commit()
    return new


async def test_an_event_is_told_once_per_person(database: Database) -> None:
    assert await add(database, "log/1", "usr_a", "usr_b") == ["usr_a", "usr_b"]
    assert await add(database, "log/1", "usr_b", "usr_c") == ["usr_c"]
    async with database.begin() as work:
        assert await work.notifications.unread("usr_b") == 1
        (one,) = await work.notifications.after("usr_c", 0)
    assert (one.kind, one.facts, one.read) == ("job_failed", {"job": "job_1", "code": "x"}, None)


async def test_what_is_not_committed_is_not_told(database: Database) -> None:
    async with database.begin() as work:
        await work.notifications.add("log/1", told("usr_a"))
    async with database.begin() as work:
        assert await work.notifications.newest("usr_a") == 0


async def test_a_list_has_unread_ones_first_page_by_page(database: Database) -> None:
    for number in range(5):
        await add(database, f"log/{number}", "usr_a", "usr_b")
    async with database.begin() as work:
        ids = [one.id for one in await work.notifications.after("usr_a", 0)]
        assert await work.notifications.mark("usr_a", 7, ids[4]) == 1
        assert await work.notifications.mark("usr_a", 8, ids[4]) == 0
        assert await work.notifications.mark("usr_b", 7, ids[1]) == 0  # another's
        await work.commit()
    listed, cursor = [], ""
    async with database.begin() as work:
        while True:
            page, cursor = await work.notifications.page("usr_a", cursor=cursor, limit=2)
            listed += [one.id for one in page]
            if not cursor:
                break
        only, _ = await work.notifications.page("usr_a", unread=True)
        with pytest.raises(SecureFlowError, match="cursor"):
            await work.notifications.page("usr_a", cursor="1/x")
    assert listed == [ids[3], ids[2], ids[1], ids[0], ids[4]]
    assert [one.id for one in only] == listed[:4]


async def test_beyond_the_bound_read_ones_go_first_then_the_oldest(database: Database) -> None:
    for number in range(6):
        await add(database, f"log/{number}", "usr_a", "usr_b")
    async with database.begin() as work:
        ids = [one.id for one in await work.notifications.after("usr_a", 0)]
        await work.notifications.mark("usr_a", 7, ids[4])
        assert await work.notifications.trim(["usr_a"], 4) == 2
        left = [one.id for one in await work.notifications.after("usr_a", 0)]
        assert await work.notifications.unread("usr_b") == 6
        await work.commit()
    assert left == [ids[1], ids[2], ids[3], ids[5]]


async def test_no_smaller_id_is_seen_after_a_larger_one(database: Database) -> None:
    added, seen = asyncio.Event(), list[set[int]]()

    async def first() -> None:
        async with database.begin() as work:
            await work.notifications.add("log/1", told("usr_a"))
            added.set()
            await asyncio.wait({other}, timeout=0.3)  # it would pass by here
            await work.commit()

    async def second() -> None:
        await added.wait()
        await add(database, "log/2", "usr_a")
        seen.append({one.id for one in await _after(database)})

    other = asyncio.create_task(second())
    await asyncio.gather(first(), other)
    assert seen == [{one.id for one in await _after(database)}]
    assert len(seen[0]) == 2


async def _after(database: Database) -> list[Notification]:
    async with database.begin() as work:
        return await work.notifications.after("usr_a", 0)


def delivery(key: str, due: int) -> Delivery:
    return Delivery(key, f"e/{key}", "webhook", "whk_1", "bank-a", "job_failed", 1, {}, 1, due)


async def test_deliveries_are_found_when_due_and_taken_by_one(database: Database) -> None:
    async with database.begin() as work:
        await work.deliveries.add(delivery("dlv_1", 10))
        await work.deliveries.add(delivery("dlv_2", 20))
        with pytest.raises(SecureFlowError, match="exists"):
            await work.deliveries.add(replace(delivery("dlv_3", 20), key="e/dlv_1"))
        await work.commit()
    async with database.begin() as work:
        due = (await work.deliveries.list(state="waiting", due=10)).items
        assert [one.id for one in due] == ["dlv_1"]
    async with database.begin() as first:
        mine = await first.deliveries.get("dlv_1")
        async with database.begin() as second:
            same = await second.deliveries.get("dlv_1")
            await second.deliveries.save(replace(same, due=99))
            await second.commit()
        with pytest.raises(SecureFlowError) as refused:
            await first.deliveries.save(replace(mine, due=98))
    assert refused.value.code == "stale_version"
