"""A sweep's jobs at an agent: one approval and one reservation cover them, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from peers.agent_world import ALLOW, ME, NOW, World

from secureflow.agent.edge.commands import Commands
from secureflow.agent.owner.budgetrecovery import BudgetRecovery
from secureflow.domain.grants import GrantTerms
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.partforms import Part
from secureflow.domain.specs.sweep import SweepSpec
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.errors import SecureFlowError

SWEEP = "job_1m8nje847evwjh6gfj1c"
OTHER = "job_1m8nje847evwjh6gfj1d"
RATES = (0.1, 0.2, 0.3)
BUDGET = {"domain": "customers", "epsilon": 5.0, "delta": 1e-5}
PRIVATE = {
    "plan": {"rounds": 3, "validation": 0.0},
    "privacy": {"delta": 1e-6, "noise_multiplier": 8.0, "rows": 1000},
}
ASKS = 'permit(principal, action == Action::"sweep", resource);'
"""Sweeps are allowed; a training alone waits for a person."""


def sweep_of(world: World, points: Any = None, **changes: Any) -> SweepSpec:
    training = dump(world.spec)
    named = ("project", "name", "purpose", "submitter", "roster")
    private = training["privacy"]
    common = private and {name: private[name] for name in ("delta", "unit", "noise")}
    listed = [{"plan.learning_rate": rate} for rate in RATES] if points is None else points
    shared = {name: training[name] for name in named}
    return parse(
        SweepSpec, {**shared, "training": training, "points": listed, "privacy": common, **changes}
    )


def body(spec: Any, job: str, **changes: Any) -> dict[str, Any]:
    asked = {"job": job, "digest": spec_digest(spec), "spec": dump(spec), "expires": NOW + 86_400}
    return {**asked, **changes}


def part_body(spec: SweepSpec, number: int, **changes: Any) -> dict[str, Any]:
    return body(spec.parts(SWEEP)[number - 1], part_id(SWEEP, number), **changes)


async def approved(world: World, **changes: Any) -> SweepSpec:
    spec = sweep_of(world, **changes)
    world.record(await world.ask("consent", body(spec, SWEEP)))
    return spec


async def refused(world: World, asked: dict[str, Any], code: str) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        async with asyncio.timeout(20):
            await world.ask("consent", asked)
    assert caught.value.code == code, caught.value
    return caught.value


async def arrived(world: World) -> None:
    """Wait until a request lies in the inbox."""
    async with asyncio.timeout(20):
        while not world.assembly.inbox.list():  # noqa: ASYNC110  a commit in a thread tells nobody
            await asyncio.sleep(0.001)


async def ended(world: World, job: str, spec: Any, outcome: str = "succeeded") -> None:
    asked = {"job": job, "digest": spec_digest(spec), "outcome": outcome, "model": None}
    await world.ask("finish", {**asked, "head": world.head()})


def events(world: World) -> list[str]:
    return [event["kind"] for event in world.store.budget_events("customers")]


async def spent(world: World) -> float:
    (domain,) = await world.assembly.context.budgets.report(exact=False)
    return float(domain["spent"])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "agent", policy=ASKS)


@pytest.fixture
def private(tmp_path: Path) -> World:
    return World(tmp_path / "agent", policy=ASKS, privacy=BUDGET, spec_changes=PRIVATE)


async def test_an_approval_covers_each_listed_job_and_nobody_is_asked_again(world: World) -> None:
    spec = await approved(world)
    for number in (1, 2, 3):
        reply = await world.ask("consent", part_body(spec, number))
        assert reply["approval"]["body"]["spec"] == spec_digest(spec.parts(SWEEP)[number - 1])
        again = await world.ask("consent", part_body(spec, number))
        assert again["approval"] == reply["approval"]
    assert world.assembly.inbox.list(waiting=False) == []
    action = next(one for one in world.store.actions() if one["job"] == part_id(SWEEP, 3))
    assert action["facts"]["by"] == f"the approval of {SWEEP}"


async def test_protections_that_an_owner_rules_out_are_refused_of_a_sweep(world: World) -> None:
    masked = dump(world.make_spec(protection="secagg"))
    error = await refused(
        world, body(sweep_of(world, training=masked), SWEEP), "protection_refused"
    )
    assert ME in error.message
    assert world.assembly.inbox.list(waiting=False) == []


async def test_a_sweep_whose_sums_may_lack_a_party_is_refused_without_a_question(
    tmp_path: Path,
) -> None:
    """Of two points that start alike, the difference of their sums would be that party's."""
    world = World(tmp_path / "agent", policy=ASKS, parties=(ME, "bank-b", "bank-c", "bank-d"))
    few = sweep_of(world, training=dump(world.make_spec(min_contributors=3)))
    error = await refused(world, body(few, SWEEP), "contradictory_spec")
    assert error.details["field"] == "min_contributors"
    assert world.assembly.inbox.list(waiting=False) == []
    every = dump(world.make_spec(min_contributors=4))
    spec = await approved(world, training=every)
    assert {part.min_contributors for part in spec.parts(SWEEP)} == {4}
    assert await world.ask("consent", part_body(spec, 1))
    fewer = replace(spec.parts(SWEEP)[1], min_contributors=3)
    await refused(world, body(fewer, part_id(SWEEP, 2)), "part_refused")


async def test_a_part_of_a_sweep_that_was_never_approved_is_refused(world: World) -> None:
    error = await refused(world, part_body(sweep_of(world), 1), "not_approved")
    assert SWEEP in error.message


@pytest.mark.parametrize(
    "changes",
    [
        {"plan": {"learning_rate": 0.15}},
        {"plan": {"rounds": 4}},
        {"purpose": "advertising"},
        {"name": "another"},
        {"limits": {"clip_norm": 5.0}},
        {"min_contributors": 2},
        {"submitter": "usr_mallory"},
        {"quantisation": {"bits": 10}},
        {"wire": "bfloat16"},
    ],
    ids=str,
)
async def test_a_part_that_differs_in_any_field_is_refused(
    world: World, changes: dict[str, Any]
) -> None:
    spec = await approved(world, training=dump(world.make_spec(min_contributors=3)))
    planned = dump(spec.parts(SWEEP)[0])
    merged = {
        name: {**planned[name], **value} if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    other = parse(TrainingSpec, {**planned, **merged})
    assert spec_digest(other) != spec_digest(spec.parts(SWEEP)[0])
    code = "too_few_parties" if "min_contributors" in changes else "part_refused"
    if code == "too_few_parties":  # no spec of two of three is sound in itself
        code = "contradictory_spec"
    await refused(world, body(other, part_id(SWEEP, 1)), code)
    assert await world.ask("consent", part_body(spec, 1))


async def test_a_part_has_one_id_and_so_comes_once(world: World) -> None:
    spec = await approved(world)
    first = spec.parts(SWEEP)[0]
    assert await world.ask("consent", part_body(spec, 1))
    error = await refused(world, body(first, OTHER), "part_refused")
    assert "one id" in error.message
    await refused(world, body(spec.parts(SWEEP)[1], part_id(SWEEP, 1)), "spec_digest_mismatch")
    error = await refused(world, body(spec.parts(SWEEP)[1], part_id(SWEEP, 3)), "part_refused")
    assert "one id" in error.message


async def test_a_part_before_an_approved_one_is_refused(world: World) -> None:
    spec = await approved(world)
    assert await world.ask("consent", part_body(spec, 2))
    error = await refused(world, part_body(spec, 1), "part_refused")
    assert "later part" in error.message
    assert await world.ask("consent", part_body(spec, 3))
    world.reopen()
    await refused(world, part_body(spec, 1), "part_refused")


async def test_a_part_after_the_sweeps_end_is_refused(world: World) -> None:
    spec = await approved(world)
    assert await world.ask("consent", part_body(spec, 1))
    await ended(world, SWEEP, spec, "cancelled")
    await refused(world, part_body(spec, 2), "job_finished")


async def test_a_part_with_another_sweeps_id_or_a_number_beyond_is_refused(world: World) -> None:
    spec = await approved(world)
    other = sweep_of(world, points=[{"plan.learning_rate": 0.9}])
    world.record(await world.ask("consent", body(other, OTHER)))
    foreign = replace(spec.parts(SWEEP)[0], part_of=Part(OTHER, 1))
    await refused(world, body(foreign, part_id(OTHER, 1)), "part_refused")
    beyond = replace(spec.parts(SWEEP)[2], part_of=Part(SWEEP, 4))
    await refused(world, body(beyond, part_id(SWEEP, 4)), "part_refused")


async def test_a_training_that_says_nothing_of_a_sweep_waits_for_a_person(world: World) -> None:
    """An approved sweep opens no door for others: what it lists alone, without its mark, asks."""
    spec = await approved(world)
    plain = spec.trainings[0]
    asking = asyncio.create_task(world.ask("consent", body(plain, part_id(SWEEP, 1))))
    await arrived(world)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_sweep_is_refused_for_what_a_policy_forbids_of_any_part(tmp_path: Path) -> None:
    few = 'forbid(principal, action == Action::"training", resource) when {context.rounds > 5};'
    world = World(tmp_path, policy=ASKS + few)
    spec = sweep_of(world, points=[{"plan.rounds": 5}, {"plan.rounds": 6}])
    await refused(world, body(spec, SWEEP), "consent_refused")
    assert world.store.job(SWEEP) is None
    assert await world.ask("consent", body(sweep_of(world, points=[{"plan.rounds": 5}]), SWEEP))


async def test_a_policy_that_came_later_forbids_a_part(world: World) -> None:
    from secureflow.adapters.policy import CedarPolicies
    from secureflow.domain.policies import Policy

    spec = await approved(world)
    none = ASKS + 'forbid(principal, action == Action::"training", resource);'
    world.assembly.consent.replace_policies(CedarPolicies([Policy("new.cedar", none, "")]))
    await refused(world, part_body(spec, 1), "consent_refused")


async def test_policies_see_that_it_is_a_sweep_and_how_large(tmp_path: Path) -> None:
    few = (
        'permit(principal, action == Action::"sweep", resource) when {context.points <= 2 && '
        'context.sets.contains("plan.learning_rate")};'
    )
    world = World(tmp_path, policy=few)
    assert await world.ask("consent", body(sweep_of(world, [{"plan.learning_rate": 1.0}]), OTHER))
    asking = asyncio.create_task(world.ask("consent", body(sweep_of(world), SWEEP)))
    await arrived(world)
    (item,) = world.assembly.inbox.list()
    assert item.spec["points"] == [{"plan.learning_rate": rate} for rate in RATES]
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_data_that_changed_since_the_approval_is_not_covered(world: World) -> None:
    spec = await approved(world)
    world.publish("age,job,income\n42,x,low\n")
    with world.store.transaction():
        fact = world.store.fact("dataset/customers")
        world.store.set_fact("dataset/customers", {**fact, "salt": "11" * 32})
    error = await refused(world, part_body(spec, 1), "declaration_changed")
    assert SWEEP in error.message


async def test_a_parts_approval_ends_with_the_sweeps_and_is_asked_for_alone_then(
    world: World,
) -> None:
    spec = await approved(world)
    reply = await world.ask("consent", part_body(spec, 1, expires=NOW + 500_000))
    assert reply["approval"]["body"]["expires"] == NOW + 86_400
    world.now += 86_400
    late = part_body(spec, 2, expires=world.now + 1000)
    asking = asyncio.create_task(world.ask("consent", late))
    await arrived(world)
    (item,) = world.assembly.inbox.list()
    world.assembly.inbox.decide(item.id, "approved")
    world.assembly.inbox.wake(item.id)
    assert (await asking)["approval"]


async def test_a_part_after_the_end_of_its_sweeps_grant_is_refused(tmp_path: Path) -> None:
    """Whatever policies allow: the sweep was approved under a grant, and that has ended."""
    world = World(tmp_path / "agent", policy=ALLOW)
    terms = GrantTerms("customers", "prj_0123456789", ("age", "job", "income"), NOW + 1000, uses=1)
    made = world.assembly.grants.create(terms)
    spec = await approved(world)
    assert await world.ask("consent", part_body(spec, 1))
    world.now += 1000
    error = await refused(world, part_body(spec, 2, expires=world.now + 1000), "grant_missing")
    assert "expired" in str(error.details["grants"][made.id])
    assert world.store.job(part_id(SWEEP, 2)) is None


async def test_a_part_goes_on_under_a_grant_that_outlasts_the_sweeps_approval(
    tmp_path: Path,
) -> None:
    world = World(tmp_path / "agent", policy=ALLOW)
    terms = GrantTerms(
        "customers", "prj_0123456789", ("age", "job", "income"), NOW + 500_000, uses=1
    )
    made = world.assembly.grants.create(terms)
    spec = await approved(world)
    world.now += 86_400
    assert await world.ask("consent", part_body(spec, 1, expires=world.now + 1000))
    assert [one.counted for one in world.store.grant_uses(made.id)] == [1, 0]


@pytest.mark.parametrize(
    "verb", ["challenge", "admit", "train", "close", "setup", "advance", "mask", "answer"]
)
async def test_of_the_sweep_itself_nothing_is_asked_for(world: World, verb: str) -> None:
    """Its approval opens its jobs, and no round of its own."""
    spec = await approved(world)
    named = {"job": SWEEP, "digest": spec_digest(spec)}
    bodies = {
        "challenge": {"generation": 1},
        "admit": {"generation": 1, "evidence": {}, "model": None},
        "train": world.train_body(1),
        "close": world.close_body(world.train_body(1)),
    }
    with pytest.raises(SecureFlowError) as caught:
        await world.ask(verb, {**bodies.get(verb, {}), **named})
    assert caught.value.code in {"protection_unsupported", "invalid_request"}, caught.value
    assert world.worker.calls == []


async def test_policies_see_how_what_is_contributed_is_protected(tmp_path: Path) -> None:
    """The sweep itself contributes nothing; its jobs do, and a policy decides about these."""
    none = 'permit(principal, action == Action::"sweep", resource) when {context.protection == "'
    world = World(tmp_path / "none", policy=none + 'none"};')
    asking = asyncio.create_task(world.ask("consent", body(sweep_of(world), SWEEP)))
    await arrived(world)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    sealed = World(tmp_path / "sealed", policy=none + 'sealed"};')
    assert await sealed.ask("consent", body(sweep_of(sealed), SWEEP))


async def test_the_record_forgets_which_part_came_last_when_the_sweep_is_over(
    world: World,
) -> None:
    spec = await approved(world)
    await world.ask("consent", part_body(spec, 2))
    assert world.store.fact(f"parts/{SWEEP}") == 2
    await ended(world, SWEEP, spec)
    assert world.store.fact(f"parts/{SWEEP}") is None


# --- the budget -----------------------------------------------------------------------------------


async def test_the_whole_is_reserved_with_the_approval(private: World) -> None:
    spec = await approved(private)
    assert events(private) == ["limit", "reserve"]
    whole = await spent(private)
    assert whole > 0
    assert [leaf.kind for leaf in private.store.leaves(SWEEP)] == ["approval", "budget"]
    for number in (1, 2, 3):
        await private.ask("consent", part_body(spec, number))
        await reserve(private, spec, number)
        assert await spent(private) == whole
    assert events(private) == ["limit", "reserve", "draw", "draw", "draw"]
    await reserve(private, spec, 3)
    assert events(private)[-3:] == ["draw"] * 3
    (domain,) = await private.assembly.context.budgets.report(exact=False)
    told = {one["job"]: one.get("of") for one in domain["reservations"]}
    assert told == {SWEEP: None, **{part_id(SWEEP, number): SWEEP for number in (1, 2, 3)}}


async def reserve(world: World, spec: SweepSpec, number: int) -> None:
    job = world.store.job(part_id(SWEEP, number))
    assert job is not None
    await world.assembly.context.budgets.reserve(job, spec.parts(SWEEP)[number - 1])


async def test_a_sweep_that_costs_too_much_is_refused_whole(private: World, tmp_path: Path) -> None:
    one = await private.assembly.context.budgets.expected_epsilon("job_x", private.spec)
    assert one is not None
    budget = {**BUDGET, "epsilon": 1.5 * one}
    world = World(tmp_path / "small", policy=ASKS, privacy=budget, spec_changes=PRIVATE)
    await refused(world, body(sweep_of(world), SWEEP), "budget_exceeded")
    assert events(world) == ["limit"]


async def test_a_part_needs_no_room_beside_what_is_reserved_for_it(
    private: World, tmp_path: Path
) -> None:
    await approved(private)
    budget = {**BUDGET, "epsilon": 1.01 * await spent(private)}
    world = World(tmp_path / "tight", policy=ASKS, privacy=budget, spec_changes=PRIVATE)
    spec = await approved(world)
    for number in (1, 2, 3):
        assert await world.ask("consent", part_body(spec, number))
        await reserve(world, spec, number)


async def test_a_ceiling_of_the_whole_is_kept(private: World) -> None:
    common = {"delta": 1e-6, "unit": "record", "noise": "enclave"}
    low = sweep_of(private, privacy={**common, "epsilon": 0.5})
    await refused(private, body(low, SWEEP), "contradictory_spec")
    high = sweep_of(private, privacy={**common, "epsilon": 50.0})
    assert await private.ask("consent", body(high, SWEEP))


async def test_a_point_above_its_own_ceiling_is_refused_with_the_sweep(private: World) -> None:
    """Not in the middle of it, when its job is asked about."""
    low = sweep_of(private, [{}, {"privacy.epsilon": 0.01}])
    error = await refused(private, body(low, SWEEP), "contradictory_spec")
    assert part_id(SWEEP, 2) in error.message
    assert events(private) == ["limit"]


async def test_what_no_job_drew_is_given_back_at_the_end(private: World) -> None:
    spec = await approved(private)
    whole = await spent(private)
    await private.ask("consent", part_body(spec, 1))
    await reserve(private, spec, 1)
    job = private.store.job(part_id(SWEEP, 1))
    assert job is not None
    private.assembly.context.budgets.begin_reading(job, (1, "train"), "ab" * 32)
    await ended(private, part_id(SWEEP, 1), spec.parts(SWEEP)[0], "failed")
    assert 0 < await spent(private) < whole
    held = await spent(private)
    await ended(private, SWEEP, spec, "cancelled")
    assert 0 < await spent(private) < held  # one round of one point is left


async def test_a_part_draws_nothing_after_the_sweep_was_settled(private: World) -> None:
    spec = await approved(private)
    await private.ask("consent", part_body(spec, 1))
    await ended(private, SWEEP, spec, "cancelled")
    with pytest.raises(SecureFlowError) as caught:
        await reserve(private, spec, 1)
    assert caught.value.code == "budget_conflict"
    assert await spent(private) == 0


async def test_a_killed_agent_goes_on_with_what_was_reserved(private: World) -> None:
    spec = await approved(private)
    whole = await spent(private)
    private.reopen()
    assert await spent(private) == whole
    await private.ask("consent", part_body(spec, 1))
    private.reopen()
    await reserve(private, spec, 1)
    private.reopen()
    await reserve(private, spec, 1)  # the same part again: it is drawn once
    assert events(private) == ["limit", "reserve", "draw"]
    assert await spent(private) == whole
    await ended(private, SWEEP, spec, "failed")
    assert 0 < await spent(private) < whole


async def test_a_sweep_that_others_refuse_costs_nothing_after_a_restart_either(
    private: World,
) -> None:
    """It may wait for days for another owner, and a part draws before it reads."""
    spec = await approved(private)
    private.reopen()
    await ended(private, SWEEP, spec, "failed")
    assert await spent(private) == 0


async def test_points_of_other_noise_or_rounds_draw_their_own_charge(private: World) -> None:
    points = [{"plan.rounds": 2}, {}, {"privacy.noise_multiplier": 9.0}, {"plan.rounds": 7}]
    spec = await approved(private, points=points)
    whole = await spent(private)
    for number in (1, 2, 3, 4):
        await private.ask("consent", part_body(spec, number))
        await reserve(private, spec, number)
    assert await spent(private) == whole


async def test_a_restored_agent_is_charged_for_a_sweep_once(private: World) -> None:
    """The whole's bundle says what all of its jobs cost; theirs are given beside it."""
    spec = sweep_of(private)
    with private.store.transaction():
        fact = {"restored_at": NOW, "taken_at": NOW, "size": 0, "settled": [], "looked_back": True}
        private.store.set_fact("restored", fact)
    context = private.assembly.context
    late = BudgetRecovery(
        context.budgets, private.store, ME, context.key.public, private.call, context.clock
    )
    given = [{"job": SWEEP, "spec": dump(spec)}]
    given += [
        {"job": part_id(SWEEP, number), "spec": dump(part)}
        for number, part in enumerate(spec.parts(SWEEP), 1)
    ]
    settled = await late.settle("customers", given)
    assert settled["jobs"] == [SWEEP]
    assert events(private) == ["limit", "reserve", "commit"]


async def test_a_bundle_of_another_whole_pays_for_no_part(private: World) -> None:
    """Bundles are others' words: a whole that does not list the part must not make it free."""
    part = sweep_of(private).parts(SWEEP)[2]
    whole = sweep_of(private, points=[{}])
    with private.store.transaction():
        fact = {"restored_at": NOW, "taken_at": NOW, "size": 0, "settled": [], "looked_back": True}
        private.store.set_fact("restored", fact)
    context = private.assembly.context
    late = BudgetRecovery(
        context.budgets, private.store, ME, context.key.public, private.call, context.clock
    )
    given = [{"job": SWEEP, "spec": dump(whole)}, {"job": part_id(SWEEP, 3), "spec": dump(part)}]
    settled = await late.settle("customers", given)
    assert part_id(SWEEP, 3) in settled["jobs"]


async def test_an_approved_part_is_not_told_as_a_cost_to_come(private: World) -> None:
    """Its whole's reservation pays for it already."""
    spec = await approved(private)
    await private.ask("consent", part_body(spec, 1))
    commands = Commands(private.assembly, *4 * [cast("Any", None)])
    reserved = {SWEEP}
    assert commands._uncharged("customers", reserved) == 0
