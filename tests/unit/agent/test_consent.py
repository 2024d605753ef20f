"""The inbox: a person decides, however long it takes and whatever is restarted meanwhile."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, NOW, World

from secureflow.agent.record.records import InboxItem
from secureflow.domain.specs.base import dump, spec_digest
from secureflow.kit.errors import SecureFlowError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "agent", policy="")


async def arrived(world: World) -> InboxItem:
    """Wait until the request lies in the inbox."""
    while not world.assembly.inbox.list():  # noqa: ASYNC110  a commit in a thread tells nobody
        await asyncio.sleep(0.001)
    return world.assembly.inbox.list()[0]


def decide(world: World, item: str, state: Any, reason: str = "") -> None:
    world.assembly.inbox.decide(item, state, reason)
    world.assembly.inbox.wake(item)


async def outcome(asking: asyncio.Task[dict[str, Any]]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as error:
        await asking
    return error.value


async def test_a_person_approves(world: World) -> None:
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    item = await arrived(world)
    assert (item.job, item.digest, item.state) == (JOB, world.digest, "waiting")
    assert item.request["sensitive"] == ["job"]
    assert item.request["columns"] == ["age", "job", "income"]
    assert item.spec == dump(world.spec)
    assert item.reasons == ["no policy permits it"]
    assert not asking.done()
    decide(world, item.id, "approved", "board meeting 12")
    assert (await asking)["approval"]["body"]["spec"] == world.digest
    action = next(d for d in world.store.actions() if d["action"] == "job.approved")
    assert action["facts"]["by"] == "a person: board meeting 12"


async def test_a_person_rejects(world: World) -> None:
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    item = await arrived(world)
    decide(world, item.id, "rejected", "not this year")
    error = await outcome(asking)
    assert error.code == "consent_refused"
    assert "not this year" in error.message
    # The decision stands: the same question is refused at once.
    again = asyncio.create_task(world.ask("consent", world.consent_body()))
    assert (await outcome(again)).code == "consent_refused"


async def test_a_decision_survives_the_agent(world: World) -> None:
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    item = await arrived(world)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    world.reopen()
    decide(world, item.id, "approved")  # while nobody asks
    assert (await world.ask("consent", world.consent_body()))["approval"]
    assert len(world.assembly.inbox.list(waiting=False)) == 1


async def test_another_spec_is_another_item(world: World) -> None:
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    item = await arrived(world)
    decide(world, item.id, "rejected")
    await outcome(asking)
    spec = world.make_spec(purpose="fraud detection")
    body = world.consent_body(spec=dump(spec), digest=spec_digest(spec))
    other = asyncio.create_task(world.ask("consent", body))
    second = await arrived(world)
    assert second.id != item.id
    decide(world, second.id, "approved")
    assert (await other)["approval"]["body"]["spec"] == spec_digest(spec)


async def test_nobody_decides_in_time(world: World) -> None:
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    item = await arrived(world)
    world.now += 86_400
    with pytest.raises(SecureFlowError) as late:
        world.assembly.inbox.decide(item.id, "approved")
    assert late.value.code == "expired"
    world.assembly.inbox.wake(item.id)  # as the timer would
    error = await outcome(asking)
    assert "nobody decided in time" in error.message
    assert world.assembly.inbox.get(item.id).state == "expired"


async def test_a_finished_job_leaves_no_question(world: World) -> None:
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    item = await arrived(world)
    world.record()
    await world.ask("finish", world.body(outcome="cancelled", model=None, head=world.head()))
    assert (await outcome(asking)).code == "consent_refused"
    assert world.assembly.inbox.get(item.id).state == "withdrawn"
    assert world.assembly.inbox.list() == []


async def test_a_decision_is_final(world: World) -> None:
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    item = await arrived(world)
    decide(world, item.id, "approved")
    await asking
    for wrong, code in ((item.id, "already_decided"), ("nothing", "not_found")):
        with pytest.raises(SecureFlowError) as error:
            world.assembly.inbox.decide(wrong, "rejected")
        assert error.value.code == code


async def test_the_same_question_twice_at_once_is_one_approval(world: World) -> None:
    questions = [
        asyncio.create_task(world.ask("consent", world.consent_body(expires=NOW + 1000 + n)))
        for n in range(3)
    ]
    item = await arrived(world)
    await asyncio.sleep(0)
    decide(world, item.id, "approved")
    answers = await asyncio.gather(*questions)
    assert answers[0] == answers[1] == answers[2]
    assert len(world.store.unproved()) == 1


async def test_nobody_is_asked_about_a_spec_whose_submitter_chooses_the_validation_rows(
    tmp_path: Path,
) -> None:
    """A centre may hand out what only an older version drafts; with it a seed picks one row."""
    world = World(tmp_path / "agent")
    old = replace(world.spec, plan=replace(world.spec.plan, draws=None))
    body = world.consent_body(spec=dump(old), digest=spec_digest(old))
    error = await outcome(asyncio.create_task(world.ask("consent", body)))
    assert error.code == "script_retired"
    assert "job.refused" in [one["action"] for one in world.store.actions()]
    assert world.assembly.inbox.list(waiting=False) == []
    without = replace(old, plan=replace(old.plan, validation=0.0))
    body = world.consent_body(spec=dump(without), digest=spec_digest(without))
    assert (await world.ask("consent", body))["approval"]


async def test_a_request_that_waited_while_its_agent_was_replaced_is_decided(world: World) -> None:
    old = replace(world.spec, plan=replace(world.spec.plan, draws=None))
    body = world.consent_body(spec=dump(old), digest=spec_digest(old))
    world.assembly.inbox.put(JOB, body["digest"], body["spec"], {}, ("no policy",), NOW + 60)
    asking = asyncio.create_task(world.ask("consent", body))
    while len(world.assembly.inbox.list(waiting=False)) < 2 and not asking.done():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    decide(world, world.assembly.inbox.list()[0].id, "approved")
    assert (await asking)["approval"]["body"]["spec"] == body["digest"]


@pytest.mark.parametrize(("validation", "told"), [(0, True), (10, False)])
async def test_an_owner_is_told_that_its_rows_measure_nothing(
    tmp_path: Path, validation: int, told: bool
) -> None:
    world = World(tmp_path / "agent")

    async def prepared(*_: Any) -> dict[str, Any]:
        return {"rows": 40, "validation": validation}

    world.worker.prepare = prepared  # type: ignore[method-assign]
    await world.admitted()
    facts = [o["facts"] for o in world.store.actions() if o["action"] == "job.not_measured"]
    assert facts == ([{"least": 10}] if told else [])


async def test_which_row_does_not_fit_stays_in_the_owners_own_log(tmp_path: Path) -> None:
    """A job chooses its classes: the first row that has none of them would answer about cells."""
    world = World(tmp_path / "agent")

    async def refused(*_: Any) -> dict[str, Any]:
        details = {"row": 417, "column": "income"}
        raise SecureFlowError("unknown_class", "Row 417 of 'income' …", "Correct row 417.", details)

    world.worker.prepare = refused  # type: ignore[method-assign]
    with pytest.raises(SecureFlowError) as caught:
        await world.admitted()
    assert caught.value.code == "unknown_class"
    assert "417" not in json.dumps(caught.value.as_json())
    assert "income" in caught.value.message
    (facts,) = [o["facts"] for o in world.store.actions() if o["action"] == "job.row_refused"]
    assert "417" in facts["message"]
