"""An approval that expired is renewed by its owner alone, by nothing that the centre shows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, ME, NOW, World

from secureflow.agent.owner.inbox import RENEWAL
from secureflow.agent.record.records import InboxItem
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError

DAY = 86_400
EXPIRES = NOW + DAY


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An owner whose policy permits everything."""
    return World(tmp_path / "agent")


@pytest.fixture
def asked(tmp_path: Path) -> World:
    """An owner whose person is asked."""
    return World(tmp_path / "agent", policy="")


async def refused(world: World, verb: str, body: dict[str, Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as error:
        await world.ask(verb, body)
    return error.value


async def waiting(world: World, but: str = "") -> InboxItem:
    while not (new := [one for one in world.assembly.inbox.list() if one.id != but]):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    return new[0]


async def decided(world: World, state: Any, **changes: Any) -> asyncio.Task[dict[str, Any]]:
    """Ask for consent and have a person decide."""
    asking = asyncio.create_task(world.ask("consent", world.consent_body(**changes)))
    item = await waiting(world)
    world.assembly.inbox.decide(item.id, state, "as ever")
    world.assembly.inbox.wake(item.id)
    await asyncio.wait([asking])
    return asking


async def test_the_old_approval_is_worth_nothing_however_it_is_shown(world: World) -> None:
    """Neither the old question nor the old answer moves an agent whose approval has expired."""
    await world.admitted()
    world.now = EXPIRES
    for _ in range(2):
        assert (await refused(world, "train", world.train_body())).code == "approval_expired"
        replayed = world.consent_body(expires=EXPIRES)
        assert (await refused(world, "consent", replayed)).code == "approval_expired"
    assert "train" not in world.worker.calls
    assert not world.store.rounds(JOB)


async def test_policies_decide_anew_and_the_signature_is_fresh(world: World) -> None:
    await world.admitted()
    old = (await world.ask("consent", world.consent_body(expires=EXPIRES)))["approval"]
    secret = world.store.job(JOB)
    world.now = EXPIRES + 5
    reply = await world.ask("consent", world.consent_body(expires=EXPIRES + DAY))
    body = reply["approval"]["body"]
    assert body == {**old["body"], "expires": EXPIRES + DAY}
    assert verify(world.keys[ME].public, "approval", body, reply["approval"]["signature"])
    kinds = [leaf.kind for leaf in world.store.leaves(JOB)]
    assert kinds == ["approval", "attested", "approval"]
    assert leaf_from_json(reply["leaf"]).leaf.prev == world.store.leaves(JOB)[1].hash
    renewed = world.store.job(JOB)
    assert secret is not None
    assert renewed is not None
    assert (renewed.secret, renewed.expires) == (secret.secret, EXPIRES + DAY)
    action = world.store.actions()[0]
    assert (action["action"], action["facts"]["expires"]) == ("job.renewed", EXPIRES + DAY)
    # The same question again is the same answer: nobody signs twice.
    assert (await world.ask("consent", world.consent_body(expires=EXPIRES + DAY)))[
        "approval"
    ] == reply["approval"]
    assert len(world.store.leaves(JOB)) == 3


async def test_a_policy_that_changed_its_mind_is_obeyed(world: World) -> None:
    await world.admitted()
    world.policy = "forbid(principal, action, resource);"
    world.reopen()
    await world.admitted()  # as long as the approval lasts, it lasts
    world.now = EXPIRES
    error = await refused(world, "consent", world.consent_body(expires=EXPIRES + DAY))
    assert error.code == "consent_refused"
    assert (await refused(world, "train", world.train_body())).code == "approval_expired"


async def test_a_person_is_asked_again_and_told_why(asked: World) -> None:
    first = (await (await decided(asked, "approved", expires=EXPIRES)))["approval"]
    before = asked.assembly.inbox.list(waiting=False)[0]
    asked.now = EXPIRES
    asking = asyncio.create_task(asked.ask("consent", asked.consent_body(expires=EXPIRES + DAY)))
    item = await waiting(asked)
    assert item.id != before.id
    assert (item.job, item.digest, item.request) == (before.job, before.digest, before.request)
    assert item.reasons[0] == RENEWAL
    assert (await refused(asked, "challenge", asked.body(generation=1))).code == "approval_expired"
    assert not asking.done()
    asked.assembly.inbox.decide(item.id, "approved")
    asked.assembly.inbox.wake(item.id)
    renewed = (await asking)["approval"]
    assert renewed["body"]["expires"] == EXPIRES + DAY
    assert renewed["signature"] != first["signature"]
    assert await asked.ask("challenge", asked.body(generation=1))


async def test_a_person_who_refuses_ends_it(asked: World) -> None:
    await decided(asked, "approved", expires=EXPIRES)
    asked.now = EXPIRES
    asking = await decided(asked, "rejected", expires=EXPIRES + DAY)
    error = asking.exception()
    assert isinstance(error, SecureFlowError)
    assert error.code == "consent_refused"
    # And a centre that asks once more, for longer, gets the same answer without anybody's time.
    again = await refused(asked, "consent", asked.consent_body(expires=EXPIRES + 2 * DAY))
    assert again.code == "consent_refused"
    assert (await refused(asked, "challenge", asked.body(generation=1))).code == "approval_expired"


async def test_an_owner_who_is_away_renews_nothing(asked: World) -> None:
    await decided(asked, "approved", expires=EXPIRES)
    asked.now = EXPIRES
    asking = asyncio.create_task(asked.ask("consent", asked.consent_body(expires=EXPIRES + DAY)))
    item = await waiting(asked)
    asked.now = EXPIRES + DAY
    asked.assembly.inbox.wake(item.id)  # as the timer would
    with pytest.raises(SecureFlowError, match="nobody decided in time") as caught:
        await asking
    assert caught.value.code == "consent_refused"


async def test_an_approval_that_lasts_is_not_asked_for_again(asked: World) -> None:
    """Else a centre could have a person decide until the answer suits it."""
    await decided(asked, "approved", expires=EXPIRES)
    asked.now = EXPIRES - 1
    reply = await asked.ask("consent", asked.consent_body(expires=EXPIRES + DAY))
    assert reply["approval"]["body"]["expires"] == EXPIRES
    assert not asked.assembly.inbox.list()


async def test_another_spec_is_no_renewal(world: World) -> None:
    await world.admitted()
    world.now = EXPIRES
    spec = world.make_spec(purpose="fraud detection")
    body = world.consent_body(spec=dump(spec), digest=spec_digest(spec), expires=EXPIRES + DAY)
    assert (await refused(world, "consent", body)).code == "spec_digest_mismatch"


async def test_data_that_was_published_anew_is_no_renewal(world: World) -> None:
    """The job goes by what it was approved under; a renewal must not say otherwise."""
    await world.admitted()
    world.now = EXPIRES
    world.publish("age,job,income\n41,x,low\n42,y,high\n")
    body = world.consent_body(expires=EXPIRES + DAY)
    assert (await refused(world, "consent", body)).code == "declaration_changed"


async def test_a_job_that_is_over_is_not_renewed(world: World) -> None:
    reply = await world.ask("consent", world.consent_body(expires=EXPIRES))
    world.record(reply)
    await world.ask("finish", world.body(outcome="failed", model=None, head=world.head()))
    world.now = EXPIRES
    again = await world.ask("consent", world.consent_body(expires=EXPIRES + DAY))
    assert again["approval"]["body"]["expires"] == EXPIRES
    assert (await refused(world, "challenge", world.body(generation=1))).code == "job_finished"


async def test_a_killed_agent_renews_once(asked: World) -> None:
    await decided(asked, "approved", expires=EXPIRES)
    asked.now = EXPIRES
    asking = asyncio.create_task(asked.ask("consent", asked.consent_body(expires=EXPIRES + DAY)))
    item = await waiting(asked)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    asked.reopen()
    asked.assembly.inbox.decide(item.id, "approved")
    reply = await asked.ask("consent", asked.consent_body(expires=EXPIRES + DAY))
    assert reply["approval"]["body"]["expires"] == EXPIRES + DAY
    assert len(asked.assembly.inbox.list(waiting=False)) == 2


async def test_updates_are_the_same_before_and_after(world: World) -> None:
    """The job's secret stays: a round that was trained is sent again, not trained anew."""
    await world.admitted()
    first = await world.ask("train", world.train_body())
    world.now = EXPIRES
    await world.ask("consent", world.consent_body(expires=EXPIRES + DAY))
    world.enclave = world.new_enclave()
    await world.admit(2)
    again = await world.ask("train", world.train_body(generation=2))
    assert again["leaf"] == first["leaf"]
    assert len(world.store.rounds(JOB)) == 1
