"""A malicious operator chooses job ids, specs and times: what a person saw is what gets signed.

Nothing that people decide on can change between show and decide; an id is whole, or it is none.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from peers.agent_world import JOB, NOW, World
from peers.statistics_world import StatisticsWorld

from secureflow.agent.edge.commands import Commands
from secureflow.agent.owner import inbox as inbox_module
from secureflow.agent.owner.inbox import Inbox, item_id
from secureflow.agent.record.records import InboxItem
from secureflow.agent.record.schema import MIGRATIONS
from secureflow.agent.record.store import RecordStore
from secureflow.cli.decision import asked, screen
from secureflow.cli.kinds import CLI_KINDS
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.kit.errors import SecureFlowError

PATIENCE = 30.0
"""Seconds after which a test that waits for what never comes fails, instead of waiting on."""
EVIL_JOB = "job_9999999999"


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "agent", policy="")
    yield made
    made.store.close()


def evil(world: World) -> dict[str, Any]:
    """Return the JSON of a spec that nobody here would approve."""
    return dump(world.make_spec(purpose="sell the customers", name="credit"))


def evil_body(world: World, job: str = JOB, **more: Any) -> dict[str, Any]:
    spec = evil(world)
    digest = spec_digest(world.make_spec(purpose="sell the customers", name="credit"))
    return {"job": job, "digest": digest, "spec": spec, "expires": NOW + 86_400, **more}


async def waiting(world: World, number: int = 1) -> list[InboxItem]:
    async with asyncio.timeout(PATIENCE):
        while len(world.assembly.inbox.list()) < number:  # noqa: ASYNC110  a commit tells nobody
            await asyncio.sleep(0.001)
    return world.assembly.inbox.list()


def commands(world: World) -> Commands:
    nothing: Any = SimpleNamespace()
    return Commands(world.assembly, nothing, nothing, nothing, nothing)


async def refusal(awaitable: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as error:
        await asyncio.wait_for(awaitable, PATIENCE)
    return error.value


def tamper(world: World, item: str, **columns: str) -> None:
    with sqlite3.connect(world.settings.record) as database:
        for name, value in columns.items():
            database.execute(f"UPDATE inbox SET {name} = ? WHERE id = ?", (value, item))


# --- ids ------------------------------------------------------------------------------------------


async def test_an_id_is_a_whole_digest_over_all_that_is_shown(world: World) -> None:
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    (item,) = await waiting(world)
    assert len(item.id) == 64
    shown = (item.job, item.digest, item.request, item.reasons, item.expires)
    assert item.id == item_id(*shown)
    changed = (
        (EVIL_JOB, *shown[1:]),
        (shown[0], "0" * 64, *shown[2:]),
        (*shown[:2], {**item.request, "sensitive": []}, *shown[3:]),
        (*shown[:3], ("somebody else approved",), shown[4]),
        (*shown[:4], item.expires + 1),
    )
    assert len({item.id, *(item_id(*other) for other in changed)}) == 6
    asking.cancel()


async def test_no_prefix_decides_not_even_a_unique_one(world: World) -> None:
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    (item,) = await waiting(world)
    for part in (item.id[:12], item.id[:63], item.id[:1], item.id + "0", item.id.upper(), JOB, ""):
        for command in ("inbox_approve", "inbox_reject", "inbox_show"):
            error = await refusal(getattr(commands(world), command)(part))
            assert error.code == "not_found"
    assert world.assembly.inbox.get(item.id).state == "waiting"
    await commands(world).inbox_approve(item.id)
    assert (await asking)["approval"]["body"]["spec"] == world.digest


async def test_items_that_collide_never_lend_each_other_a_decision(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ids of 8 bits the operator finds a job id under which the evil spec has the same id."""
    monkeypatch.setattr(inbox_module, "item_id", lambda *shown: item_id(*shown)[:2])
    benign = asyncio.create_task(world.ask("consent", world.consent_body()))
    (item,) = await waiting(world)
    found = world.assembly.inbox.get(item.id)
    spec, digest = evil(world), evil_body(world)["digest"]
    request = {**found.request, "purpose": "sell the customers"}
    twin = next(
        job
        for job in (f"job_{number:010d}" for number in count())
        if item_id(job, digest, request, found.reasons, found.expires)[:2] == item.id
    )
    await commands(world).inbox_approve(item.id, "credit scoring is fine")
    assert (await benign)["approval"]["body"]["spec"] == world.digest
    body = {"job": twin, "digest": digest, "spec": spec, "expires": found.expires}
    error = await refusal(world.ask("consent", body))
    assert error.code == "inbox_item_changed"
    assert world.store.job(twin) is None  # nothing was signed
    # Whoever reads a decision names job and spec: another's is none.
    for job, named in ((twin, digest), (JOB, digest), (twin, world.digest)):
        error = await refusal(world.assembly.inbox.decision(item.id, job, named))
        assert error.code == "inbox_item_changed"


@pytest.mark.parametrize("kind", [World, StatisticsWorld])
async def test_what_the_agent_shows_is_what_the_screen_computes_again(
    tmp_path: Path, kind: Any
) -> None:
    """Through the socket, with an ε, for every kind of job: the id comes out the same."""
    world = kind(tmp_path / "agent", policy="")
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    (item,) = await waiting(world)
    told = json.loads(json.dumps(await commands(world).inbox_show(item.id)))
    request = asked(told, item.id)
    assert request.item == item
    text = " ".join(" ".join(screen(request, CLI_KINDS)).split())
    private = item.request["epsilon"] is not None
    assert private == (kind is StatisticsWorld)
    assert ("0 is spent by the jobs so far" in text and "by them and this one" in text) == private
    await commands(world).inbox_approve(request.item.id)
    assert (await asking)["approval"]["body"]["spec"] == item.digest
    world.store.close()


# --- between show and decide ------------------------------------------------------------------


async def test_items_swapped_between_list_and_approve(world: World) -> None:
    """The evil spec is put into the place of the benign one after it was shown: nothing is
    signed, and it cannot be shown under that id either."""
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    (item,) = await waiting(world)
    (listed,) = await commands(world).inbox_list()
    body = evil_body(world)
    tamper(world, item.id, spec=json.dumps(body["spec"]), digest=body["digest"])
    for command in ("inbox_show", "inbox_approve", "inbox_reject"):
        error = await refusal(getattr(commands(world), command)(listed["id"]))
        assert error.code == "inbox_item_changed"
    assert world.assembly.inbox.get(item.id).state == "waiting"
    asking.cancel()


@pytest.mark.parametrize("column", ["spec", "request", "reasons", "expires"])
async def test_what_is_stored_is_computed_again_when_it_is_decided(
    world: World, column: str
) -> None:
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    (item,) = await waiting(world)
    other = {
        "spec": json.dumps(evil(world)),
        "request": json.dumps({**item.request, "sensitive": []}),
        "reasons": json.dumps(["all others agreed"]),
        "expires": str(item.expires + 1),
    }
    tamper(world, item.id, **{column: other[column]})
    error = await refusal(commands(world).inbox_approve(item.id))
    assert error.code == "inbox_item_changed"
    assert world.store.job(JOB) is None
    asking.cancel()


async def test_what_is_stored_is_computed_again_when_a_decision_is_used(world: World) -> None:
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    (item,) = await waiting(world)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await commands(world).inbox_approve(item.id)
    tamper(world, item.id, spec=json.dumps(evil(world)))
    error = await refusal(world.ask("consent", world.consent_body()))
    assert error.code == "inbox_item_changed"
    assert world.store.job(JOB) is None


async def test_a_decision_does_not_outlive_what_was_declared_when_it_was_made(world: World) -> None:
    """Approved while nobody asked; then the owner publishes its data anew, and is asked again."""
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    (item,) = await waiting(world)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await commands(world).inbox_approve(item.id)
    world.reopen()
    world.publish("age,job,income\n41,x,low\n7,y,high\n")
    again = asyncio.create_task(world.ask("consent", world.consent_body()))
    (fresh,) = await waiting(world)
    assert fresh.id != item.id
    assert not again.done()
    assert world.store.job(JOB) is None
    # And what still waits when it is published anew is closed, and wakes who waited for it.
    world.publish()
    third = asyncio.create_task(world.ask("consent", world.consent_body()))
    assert (await refusal(again)).code == "consent_refused"
    assert world.assembly.inbox.get(fresh.id).state == "withdrawn"
    # What is declared as it was is what was approved: that decision stands.
    assert (await third)["approval"]["body"]["expires"] == item.expires


async def test_what_was_closed_waits_again_when_it_is_what_is_asked(world: World) -> None:
    inbox, spec, later = world.assembly.inbox, dump(world.spec), NOW + 60
    first = inbox.put(JOB, world.digest, spec, {"commitment": "a"}, (), later)
    second = inbox.put(JOB, world.digest, spec, {"commitment": "b"}, (), later)
    assert [one.id for one in inbox.list()] == [second]
    assert inbox.put(JOB, world.digest, spec, {"commitment": "a"}, (), later) == first
    assert [(one.id, one.spec) for one in inbox.list()] == [(first, spec)]
    assert (await commands(world).inbox_approve(first))["state"] == "approved"


async def test_an_approval_lasts_no_longer_than_the_person_was_shown(world: World) -> None:
    """The centre asks for an hour, and, once that waits, for as long as the agent allows."""
    short = asyncio.create_task(world.ask("consent", world.consent_body(expires=NOW + 3600)))
    (item,) = await waiting(world)
    short.cancel()
    await asyncio.gather(short, return_exceptions=True)
    await commands(world).inbox_approve(item.id)
    answer = await world.ask("consent", world.consent_body(expires=NOW + 80_000))
    assert answer["approval"]["body"]["expires"] == item.expires == NOW + 3600


async def test_a_decision_is_not_overwritten_by_what_comes_after(world: World) -> None:
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    (item,) = await waiting(world)
    world.assembly.inbox.decide(item.id, "rejected", "no")
    world.assembly.inbox._close(item.id, "expired", "nobody decided in time")
    world.assembly.inbox.withdraw(JOB)
    assert world.assembly.inbox.get(item.id).state == "rejected"
    world.assembly.inbox.wake(item.id)
    assert (await refusal(asking)).code == "consent_refused"


def logged(world: World, action: str) -> dict[str, Any]:
    return next(dict(one["facts"]) for one in world.store.actions() if one["action"] == action)


async def test_the_log_says_what_was_decided_and_by_what(tmp_path: Path) -> None:
    notes = '@id("scoring") @reason("as the board said")'
    for verb, action, by in (
        ("permit", "job.approved", "policy scoring: as the board said"),
        ("forbid", "job.refused", "policy"),
    ):
        text = f"{notes} {verb}(principal, action, resource);"
        world = World(tmp_path / verb, policy=text)
        with suppress(SecureFlowError):
            await world.ask("consent", world.consent_body())
        assert logged(world, action)["by"] == by
        world.store.close()
    world = World(tmp_path / "person", policy="")
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    (item,) = await waiting(world)
    await commands(world).inbox_reject(item.id, "not this year")
    await refusal(asking)
    assert logged(world, "job.refused")["by"] == "a person"
    assert logged(world, "inbox.rejected") == {
        "item": item.id, "spec": world.digest, "reason": "not this year",
    }  # fmt: skip
    world.store.close()


# --- what older agents left -------------------------------------------------------------------


def old_record(path: Path, world: World, **states: str) -> None:
    """Write the record of an agent that cut its ids to 12 digits: id → state."""
    with sqlite3.connect(path) as database:
        for number, script in enumerate(MIGRATIONS[:4], start=1):
            database.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")
        for number, (item, state) in enumerate(states.items()):
            database.execute(
                "INSERT INTO inbox (id, job, digest, request, spec, reasons, state, at, expires, "
                "reason) VALUES (?, ?, ?, '{}', ?, '[]', ?, 1, ?, '')",
                (item, f"job_{number:010d}", world.digest, json.dumps(dump(world.spec)), state,
                 NOW + 86_400),
            )  # fmt: skip


async def test_short_ids_of_older_agents_decide_nothing(world: World, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old_record(
        path, world, aaaaaaaaaaaa="waiting", bbbbbbbbbbbb="approved", cccccccccccc="rejected"
    )
    store = RecordStore(path)
    inbox = Inbox(store, lambda: world.now)
    by_id = {item.id: item for item in inbox.list(waiting=False)}
    assert inbox.list() == []
    closed = by_id["aaaaaaaaaaaa"]
    assert (closed.state, closed.spec) == ("withdrawn", {})
    assert "short id" in closed.reason
    assert [by_id[12 * one].state for one in "bc"] == ["approved", "rejected"]  # history stays
    for number, item in enumerate(by_id.values()):
        with pytest.raises(SecureFlowError) as error:
            inbox.decide(item.id, "approved")
        assert error.value.code == "already_decided"
        # The same job and spec is asked anew, under a whole id, whatever was decided before.
        job = f"job_{number:010d}"
        fresh = inbox.put(job, world.digest, dump(world.spec), {}, (), NOW + 60)
        assert len(fresh) == 64
        assert inbox.get(fresh).state == "waiting"
    store.close()
