"""Deliveries are tried until they succeed, by one server each, and what fails stays in sight."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.delivering import LEASE, PER_TARGET, Delivering
from secureflow.domain.deliveries import (
    FAILED_SECONDS,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MOST_FAILED,
    MOST_TRIES,
    Delivery,
    pause_after,
)
from secureflow.kit.errors import SecureFlowError
from tests.stage import Stage
from tests.unit.application.refusing import refused

URL = "https://siem.example/in?x=1"


@pytest.fixture
async def begun(stage: Stage) -> Stage:
    await stage.services.notices.notifying.poll()
    return stage


def delivering(stage: Stage) -> Delivering:
    return stage.services.notices.delivering


def channel(stage: Stage) -> Any:
    return delivering(stage)._notifiers["webhook"]


async def stored(stage: Stage) -> list[Delivery]:
    async with stage.database.begin() as work:
        return list((await work.deliveries.list(limit=1000)).items)


async def put(stage: Stage, *deliveries: Delivery) -> None:
    async with stage.database.begin() as work:
        for one in deliveries:
            await work.deliveries.add(one)
        await work.commit()


def delivery(number: int, now: int, **changes: Any) -> Delivery:
    plain = Delivery(
        f"dlv_{number:06}", f"e/{number}", "webhook", "whk_1", "bank-a", "test", 1,
        {"webhook": "whk_1"}, now, now,
    )  # fmt: skip
    return replace(plain, **changes)


async def test_what_happened_is_delivered_and_forgotten(begun: Stage) -> None:
    hook = (await begun.services.webhooks.create(begun.admin("outsider"), URL)).webhook
    await begun.services.projects.invite(begun.admin("bank-a"), begun.ids["project"], "outsider")
    await begun.services.notices.notifying.poll()
    await delivering(begun).poll()
    assert [(one.target, one.kind) for one in begun.delivered] == [(hook.id, "project_invitation")]
    assert await stored(begun) == []
    await delivering(begun).poll()
    assert len(begun.delivered) == 1


async def test_a_failure_is_tried_again_with_longer_pauses_under_the_same_id(begun: Stage) -> None:
    await put(begun, delivery(1, begun.now[0]))
    channel(begun).failure = SecureFlowError("delivery_failed", "away")
    pauses = []
    for _ in range(3):
        await delivering(begun).poll()
        (one,) = await stored(begun)
        pauses.append(one.due - begun.now[0])
        await delivering(begun).poll()  # not before it is due
        assert await stored(begun) == [one]
        begun.now[0] = one.due
    assert pauses == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    channel(begun).failure = None
    await delivering(begun).poll()
    assert [sent.id for sent in begun.delivered] == ["dlv_000001"]


def test_pauses_are_bounded() -> None:
    assert pause_after(10**6) == LONGEST_PAUSE


async def test_what_keeps_failing_is_given_up_on_and_told(begun: Stage) -> None:
    hook = (await begun.services.webhooks.create(begun.admin("bank-a"), URL)).webhook
    await put(begun, delivery(1, begun.now[0], target=hook.id, tries=MOST_TRIES - 1))
    channel(begun).failure = SecureFlowError("delivery_failed", "away")
    await delivering(begun).poll()
    (one,) = await stored(begun)
    assert (one.state, one.code) == ("failed", "delivery_failed")
    told = (await begun.services.notifications.list(begun.admin("bank-a"))).items
    assert [note.kind for note in told] == ["webhook_failed"]  # and no delivery of it, either
    failed = begun.services.webhooks.failed
    assert (await failed(begun.admin("bank-a"))).items == [one]
    assert (await failed(begun.admin("bank-b"))).items == []
    with refused("forbidden"):
        await failed(begun.scientist("bank-a"))
    with refused("not_found"):
        await begun.services.webhooks.retry(begun.admin("bank-b"), one.id)
    channel(begun).failure = None
    await begun.services.webhooks.retry(begun.admin("bank-a"), one.id)
    await delivering(begun).poll()
    assert [sent.id for sent in begun.delivered] == [one.id]


async def test_a_refused_address_is_not_tried_again(begun: Stage) -> None:
    await put(begun, delivery(1, begun.now[0]))
    channel(begun).failure = SecureFlowError("address_refused", "private")
    await delivering(begun).poll()
    assert (await stored(begun))[0].state == "failed"


async def test_one_server_carries_each_out(begun: Stage) -> None:
    """The other one read it as waiting, too."""
    await put(begun, delivery(1, begun.now[0]))
    (one,) = await stored(begun)
    first = second = delivering(begun)
    assert await first._take(one)
    assert not await second._carry(one)  # while the first one is at it
    assert begun.delivered == []


async def test_a_crash_after_taking_it_leaves_it_for_later(begun: Stage) -> None:
    await put(begun, delivery(1, begun.now[0]))
    (one,) = await stored(begun)
    assert await delivering(begun)._take(one)  # and then the process died
    await delivering(begun).poll()
    assert begun.delivered == []
    begun.now[0] += LEASE
    await delivering(begun).poll()
    assert [sent.id for sent in begun.delivered] == [one.id]


async def test_a_slow_receiver_holds_up_no_other(begun: Stage) -> None:
    now = begun.now[0]
    slow = [delivery(number, now) for number in range(50)]
    await put(begun, *slow, delivery(99, now, target="whk_2"))
    hanging, others, started = asyncio.Event(), asyncio.Event(), []

    async def deliver(one: Delivery) -> None:
        started.append(one.target)
        if one.target == "whk_1":
            await hanging.wait()
        else:
            others.set()

    channel(begun).deliver = deliver
    polled = asyncio.ensure_future(delivering(begun).poll())
    await others.wait()
    assert started.count("whk_1") == PER_TARGET
    hanging.set()
    await polled
    assert await stored(begun) == []


async def test_failed_ones_are_kept_for_a_while_and_not_too_many(begun: Stage) -> None:
    now = begun.now[0]
    old = delivery(0, now, target="whk_2", state="failed", due=now - FAILED_SECONDS - 1)
    many = [delivery(n, now, state="failed") for n in range(1, MOST_FAILED + 4)]
    await put(begun, old, *many, delivery(999, now))
    assert await delivering(begun).sweep() == 4
    left = await stored(begun)
    assert len(left) == MOST_FAILED + 1
    assert left[0].id == many[3].id


async def test_only_administrators_make_webhooks_and_only_so_many(begun: Stage) -> None:
    create = begun.services.webhooks.create
    for other in (begun.owner("bank-a"), begun.scientist("bank-a"), begun.operator):
        with refused("forbidden"):
            await create(other, URL)
    for _ in range(10):
        await create(begun.admin("bank-a"), URL)
    with refused("quota_exceeded"):
        await create(begun.admin("bank-a"), URL)
    await create(begun.admin("bank-b"), URL)


WRONG = (
    "http://siem.example/", "https://", "https://user@siem.example/", "ftp://siem.example/",
    "https://u:p@siem.example/", "https://siem.example/#x", "https://siem.example/a b",
    "https://siem.example\\@evil.example/", "https://siem.example/\r\nX: y",
    "https://siem.example:99999/", "https://sïem.example/", "https://[::1", "",
    "https://siem.example/" + "a" * 1000,
)  # fmt: skip


async def test_only_plain_https_addresses_are_webhooks(begun: Stage) -> None:
    for url in WRONG:
        with refused("invalid_request"):
            await begun.services.webhooks.create(begun.admin("bank-a"), url)


async def test_a_secret_is_shown_once_and_stored_sealed(begun: Stage) -> None:
    issued = await begun.services.webhooks.create(begun.admin("bank-a"), URL)
    assert issued.secret.startswith("whs_")
    assert len(issued.secret) > 40
    assert issued.secret not in repr(issued) + str(vars(issued.webhook))
    sealer: Any = begun.services.webhooks._sealer
    assert sealer.open(issued.webhook.secret, issued.webhook.id) == issued.secret
    with refused("key_unreadable"):
        sealer.open(issued.webhook.secret, "whk_other")  # moved to another webhook
    entry = begun.ledger.log[-1]
    assert entry.kind == "webhook.created"
    assert URL not in str(entry.document)


async def test_a_removed_webhook_gets_nothing_more(begun: Stage) -> None:
    hook = (await begun.services.webhooks.create(begun.admin("bank-a"), URL)).webhook
    await put(begun, delivery(1, begun.now[0], target=hook.id), delivery(2, begun.now[0]))
    with refused("not_found"):
        await begun.services.webhooks.remove(begun.admin("bank-b"), hook.id)
    await begun.services.webhooks.remove(begun.admin("bank-a"), hook.id)
    assert [one.id for one in await stored(begun)] == ["dlv_000002"]


async def test_a_test_is_delivered_now_and_its_failure_said(begun: Stage) -> None:
    hook = (await begun.services.webhooks.create(begun.admin("bank-a"), URL)).webhook
    key = await begun.services.webhooks.test(begun.admin("bank-a"), hook.id)
    assert [(one.id, one.kind) for one in begun.delivered] == [(key, "test")]
    with refused("not_found"):
        await begun.services.webhooks.test(begun.admin("bank-b"), hook.id)
    channel(begun).failure = SecureFlowError("delivery_failed", "away")
    with refused("delivery_failed"):
        await begun.services.webhooks.test(begun.admin("bank-a"), hook.id)
    channel(begun).failure = None
    for _ in range(3):
        await begun.services.webhooks.test(begun.admin("bank-a"), hook.id)
    with refused("rate_limited"):
        await begun.services.webhooks.test(begun.admin("bank-a"), hook.id)
