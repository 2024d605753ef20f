"""Four eyes: two different people of this organisation decide, and the ledger shows it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.agent_people import OWN, Team, waiting_item
from peers.agent_world import ALLOW, NOW, World

from secureflow.adapters.policy import CedarPolicies
from secureflow.agent.owner.acting import Actor, as_actor
from secureflow.agent.owner.twopeople import TWO, reasons_for_two
from secureflow.agent.settings import TwoPeopleRule
from secureflow.application.running.disapprovals import disapproval
from secureflow.domain.policies import Policy
from secureflow.enclave.plans import _approval
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError

BOTH = '@two_people("all training") permit(principal, action, resource);'


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    return World(tmp_path / "agent", policy=BOTH)


@pytest.fixture(name="team")
async def _team(world: World) -> Team:
    return await Team(world).gather()


def ids(world: World, *names: str) -> list[str]:
    return [world.assembly.people.named(name).id for name in names]


async def test_two_people_approve_and_the_leaf_shows_both(team: Team, world: World) -> None:
    asking, item = await waiting_item(world)
    assert item.reasons == [TWO, "all training"]
    first = await team.give("inbox.approve", "ben", item=item.id, reason="looks fine")
    assert (first["state"], first["second"], first["signed"]) == ("waiting", True, False)
    assert not asking.done()
    second = await team.give("inbox.approve", "cleo", item=item.id)
    assert (second["state"], second["signed"]) == ("approved", True)
    reply = await asking
    approval = reply["approval"]
    assert approval["body"]["people"] == ids(world, "ben", "cleo")
    assert verify(world.all_keys[world.me].public, "approval", approval["body"],
                  approval["signature"])  # fmt: skip
    assert world.store.leaf_of(item.job, "approval").bundle["document"] == approval  # type: ignore[union-attr]
    assert "ben" not in str(approval)
    body = {**approval["body"]}
    fewest = _approval(world.me, approval, job=item.job, spec=world.spec, digest=world.digest,
                       now=NOW)  # fmt: skip
    assert fewest == body["min_contributors"]  # an enclave takes it
    noted = [one["facts"] for one in world.store.actions() if one["action"] == "job.approved"]
    assert noted[0]["people"] == ids(world, "ben", "cleo")


async def test_nobody_is_two_people(team: Team, world: World) -> None:
    asking, item = await waiting_item(world)
    await team.give("inbox.approve", "ben", item=item.id)
    again = await team.log_in("ben")  # another session is no other person
    for who in ("ben", again):
        assert await team.refusal("inbox.approve", who, item=item.id) == "same_person"
    await team.give("people.delegate", "ben", to="vera", until=world.now + 3600)
    assert await team.refusal("inbox.approve", "vera", item=item.id) == "same_person"
    await team.give("people.delegate", "cleo", to="ben", until=world.now + 3600)
    assert await team.refusal("inbox.approve", "ben", item=item.id) == "same_person"
    assert not asking.done()
    await team.give("people.delegate", "cleo", to="vera", until=world.now + 3600)
    assert await team.refusal("inbox.approve", "vera", item=item.id) == ""  # for cleo
    assert (await asking)["approval"]["body"]["people"] == ids(world, "ben", "vera")


async def test_who_decided_in_anothers_place_leaves_no_room_for_that_other(
    team: Team, world: World
) -> None:
    asking, item = await waiting_item(world)
    await team.give("people.delegate", "ben", to="vera", until=world.now + 3600)
    await team.give("inbox.approve", "vera", item=item.id)
    assert await team.refusal("inbox.approve", "ben", item=item.id) == "same_person"
    await team.give("people.delegate", "cleo", to="ben", until=world.now + 3600)
    assert await team.refusal("inbox.approve", "ben", item=item.id) == "same_person"  # not for cleo
    noted = [o["facts"] for o in world.store.actions() if o["action"] == "inbox.approved_by_one"]
    assert (noted[0]["person"], noted[0]["in_place_of"]) == tuple(ids(world, "vera", "ben"))
    asking.cancel()


@pytest.mark.parametrize("how", ["disabled", "over", "role"])
async def test_a_delegation_ends(team: Team, world: World, how: str) -> None:
    asking, item = await waiting_item(world)
    await team.give("people.delegate", "ben", to="vera", until=world.now + 600)
    if how == "disabled":
        await team.give("people.disable", "ada", name="ben")
    elif how == "role":
        await team.give("people.roles", "ada", name="ben", roles=["viewer"])
    else:
        world.now += 600
    assert await team.refusal("inbox.approve", "vera", item=item.id) == "role_needed"
    asking.cancel()


async def test_the_leaf_lists_them_in_the_order_of_their_decisions(
    team: Team, world: World
) -> None:
    asking, item = await waiting_item(world)  # within one second, the younger account first
    await team.give("inbox.approve", "cleo", item=item.id)
    await team.give("inbox.approve", "ada", item=item.id)
    assert (await asking)["approval"]["body"]["people"] == ids(world, "cleo", "ada")


async def test_one_rejection_ends_it(team: Team, world: World) -> None:
    asking, item = await waiting_item(world)
    await team.give("inbox.approve", "ben", item=item.id)
    await team.give("inbox.reject", "cleo", item=item.id, reason="not now")
    with pytest.raises(SecureFlowError) as error:
        await asking
    assert error.value.code == "consent_refused"
    assert await team.refusal("inbox.approve", "ada", item=item.id) == "already_decided"


async def test_two_requests_of_one_moment_are_two_people_once(team: Team, world: World) -> None:
    """Both press the key at once: neither is counted twice, and one approval comes of it."""
    asking, item = await waiting_item(world)
    answers = await asyncio.gather(
        *(team.give("inbox.approve", who, item=item.id) for who in ("ben", "cleo", "ada")),
        return_exceptions=True,
    )
    refused = [one.code for one in answers if isinstance(one, SecureFlowError)]
    assert refused == ["already_decided"]
    assert len((await asking)["approval"]["body"]["people"]) == 2


async def test_the_first_approval_survives_the_agent(team: Team, world: World) -> None:
    asking, item = await waiting_item(world)
    await team.give("inbox.approve", "ben", item=item.id)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    world.reopen()
    later = Team(world, sessions=team.sessions)
    assert await later.refusal("inbox.approve", "ben", item=item.id) == "same_person"
    await later.give("inbox.approve", "cleo", item=item.id)
    assert (await world.ask("consent", world.consent_body()))["approval"]["body"]["people"]


async def test_without_accounts_nobody_is_two_people(world: World) -> None:
    team = Team(world)
    asking, item = await waiting_item(world)
    assert await team.refusal("inbox.approve", user=OWN, item=item.id) == "two_people_needed"
    assert await team.refusal("inbox.reject", user=OWN, item=item.id) == ""
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_rule_that_came_meanwhile_counts(tmp_path: Path) -> None:
    """One person approved while one was enough; then the policies ask for two."""
    world = World(tmp_path / "agent", policy="")
    team = await Team(world).gather("ada", "ben")
    asking, item = await waiting_item(world)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await team.give("inbox.approve", "ben", item=item.id)
    world.assembly.consent.replace_policies(CedarPolicies([Policy("new.cedar", BOTH, "")]))
    with pytest.raises(SecureFlowError) as error:
        await world.ask("consent", world.consent_body())
    assert error.value.code == "consent_refused"
    assert TWO in error.value.message


async def test_a_rule_that_went_meanwhile_counts_for_what_was_asked(
    team: Team, world: World
) -> None:
    asking, item = await waiting_item(world)
    world.assembly.consent.replace_policies(CedarPolicies([Policy("new.cedar", ALLOW, "")]))
    assert (await team.give("inbox.approve", "ben", item=item.id))["second"]
    asking.cancel()


async def test_one_person_decides_the_rest_and_the_leaf_says_who(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy="")
    team = await Team(world).gather("ada", "ben")
    asking, item = await waiting_item(world)
    await team.give("inbox.approve", "ben", item=item.id)
    assert (await asking)["approval"]["body"]["people"] == ids(world, "ben")


async def test_without_accounts_an_approval_is_as_it_was(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy="")
    asking, item = await waiting_item(world)
    await Team(world).give("inbox.approve", user=OWN, item=item.id)
    assert {*(await asking)["approval"]["body"]} == {
        "job", "spec", "party", "expires", "min_contributors",
    }  # fmt: skip


async def test_a_question_of_an_older_version_still_ends_its_request(
    team: Team, world: World
) -> None:
    """Then it closed the request; the record may hold such a decision."""
    asking, item = await waiting_item(world)
    with world.store.transaction():
        world.store.decide_inbox_item(replace(item, state="asked_back", reason="Why the job?"))
    world.assembly.inbox.wake(item.id)
    with pytest.raises(SecureFlowError) as error:
        await asking
    assert error.value.code == "asked_back"
    told = disapproval(["bank-a"], {}, {"bank-a": error.value.as_json()})  # at the centre
    assert told.details["refusals"][0]["code"] == "asked_back"
    assert told.message.count("Why the job?") == 1
    assert await team.refusal("inbox.approve", "cleo", item=item.id) == "already_decided"


async def test_who_is_disabled_meanwhile_decides_nothing(team: Team, world: World) -> None:
    """Between the look at its session and the decision itself."""
    asking, item = await waiting_item(world)
    (ben,) = ids(world, "ben")
    team.people.disable("ben", disabled=True)
    for state in ("approved", "rejected"):
        with as_actor(Actor(ben, OWN, (ben,))), pytest.raises(SecureFlowError) as error:
            world.assembly.inbox.decide(item.id, state, "so")  # type: ignore[arg-type]
        assert error.value.code == "session_expired"
    asking.cancel()


@pytest.mark.parametrize("how", ["disabled", "no decider", "giver disabled"])
async def test_who_is_taken_out_was_not_the_first_of_two(
    team: Team, world: World, how: str
) -> None:
    """What a taken-over account approved before it was noticed counts no more."""
    asking, item = await waiting_item(world)
    first = "vera" if how == "giver disabled" else "ben"
    if first == "vera":
        await team.give("people.delegate", "ben", to="vera", until=world.now + 3600)
    await team.give("inbox.approve", first, item=item.id)
    if how == "no decider":
        await team.give("people.roles", "ada", name="ben", roles=["viewer"])
    else:
        await team.give("people.disable", "ada", name="ben")
    assert (await team.give("inbox.approve", "cleo", item=item.id))["second"]
    assert not asking.done()
    assert (await team.give("inbox.approve", "ada", item=item.id))["signed"]
    assert (await asking)["approval"]["body"]["people"] == ids(world, "cleo", "ada")


async def test_a_request_that_waits_anew_has_no_old_approval(team: Team, world: World) -> None:
    """Its data was declared otherwise, and then as before: the id is the same one."""
    asking, item = await waiting_item(world)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await team.give("inbox.approve", "ben", item=item.id)
    inbox = world.assembly.inbox

    def put(commitment: str) -> str:
        request = {**item.request, "commitment": commitment}
        return inbox.put(item.job, item.digest, item.spec, request, item.reasons, item.expires)

    other = put("another")
    assert other != item.id
    assert inbox.get(item.id).state == "withdrawn"
    assert put(str(item.request["commitment"])) == item.id
    assert inbox.approvals(item.id) == []
    assert (await team.give("inbox.approve", "cleo", item=item.id))["second"]


# --- the rules of agent.yaml -------------------------------------------------------------------

REQUEST: dict[str, Any] = {
    "kind": "training",
    "dataset": "customers",
    "purpose": "credit scoring",
    "columns": ["age", "job"],
    "sensitive": ["job"],
    "epsilon": 1.0,
    "bundle_digest": "",
}


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ({"any": True}, True),
        ({"kinds": ["training"]}, True),
        ({"kinds": ["psi"]}, False),
        ({"datasets": ["customers"], "sensitive": True}, True),
        ({"datasets": ["others"], "sensitive": True}, False),
        ({"sensitive": False}, False),
        ({"columns": ["age", "x"]}, True),
        ({"columns": ["x"]}, False),
        ({"epsilon_over": 1.0}, False),
        ({"epsilon_over": 0.99}, True),
        ({"purposes": ["marketing"]}, False),
        ({"code": True}, False),
        ({"code": False}, True),
        ({"deliver": True}, False),
        ({"learns": True}, False),
    ],
)
def test_a_rule_holds_if_all_of_it_does(rule: dict[str, Any], holds: bool) -> None:
    rules = [TwoPeopleRule(**rule, reason="so")]
    assert reasons_for_two(rules, REQUEST) == (("so",) if holds else ())


@pytest.mark.parametrize("epsilon", [None, float("nan"), float("inf")])
def test_what_has_no_epsilon_is_over_every_limit(epsilon: float | None) -> None:
    assert reasons_for_two([TwoPeopleRule(epsilon_over=9.0)], {**REQUEST, "epsilon": epsilon})


def test_a_rule_without_a_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a condition"):
        TwoPeopleRule(reason="nothing")


def test_a_policy_that_forbids_asks_nobody() -> None:
    text = '@two_people("no") forbid(principal, action, resource);'
    with pytest.raises(SecureFlowError) as error:
        CedarPolicies([Policy("test.cedar", text, "")])
    assert error.value.code == "policy_invalid"
