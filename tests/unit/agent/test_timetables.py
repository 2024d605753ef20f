"""A timetable at an agent: one approval covers its runs, each once and at its time, no more."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from peers.agent_world import NOW, World

from secureflow.adapters.policy import CedarPolicies
from secureflow.agent.job.parts import check_same_data
from secureflow.agent.owner.decisions import Decisions
from secureflow.agent.record.records import JobRecord, OwnLeaf
from secureflow.agent.settings import TwoPeopleRule
from secureflow.domain.grants import GrantTerms
from secureflow.domain.ids import part_id
from secureflow.domain.policies import Policy
from secureflow.domain.specs.base import JobSpec, dump, parse, spec_digest
from secureflow.domain.specs.partforms import Part
from secureflow.domain.specs.timetable import TimetableSpec
from secureflow.kit.clock import MAX_SKEW
from secureflow.kit.errors import SecureFlowError

TIMETABLE = "job_1m8nje847evwjh6gfj1c"
OTHER = "job_1m8nje847evwjh6gfj1d"
DAY = 86_400
FIRST = NOW + DAY
TIMES = {"first": FIRST, "every": DAY, "runs": 3, "window": 3600}
BUDGET = {"domain": "customers", "epsilon": 5.0, "delta": 1e-5}
PRIVATE = {
    "plan": {"rounds": 3, "validation": 0.0},
    "privacy": {"delta": 1e-6, "noise_multiplier": 8.0, "rows": 1000},
}
ASKS = 'permit(principal, action == Action::"timetable", resource);'
"""Timetables are allowed; a training alone waits for a person."""


def timetable_of(world: World, times: Any = None, **changes: Any) -> TimetableSpec:
    run = dump(world.spec if world.spec.privacy else world.make_spec(min_contributors=3))
    named = ("project", "name", "purpose", "submitter", "roster")
    private = run["privacy"]
    common = private and {name: private[name] for name in ("delta", "unit", "noise")}
    shared = {name: run[name] for name in named}
    value = {**shared, "job": run, "timetable": TIMES | (times or {}), "privacy": common}
    return parse(TimetableSpec, {**value, **changes})


def body(spec: JobSpec, job: str, **changes: Any) -> dict[str, Any]:
    until = FIRST + 40 * DAY
    asked = {"job": job, "digest": spec_digest(spec), "spec": dump(spec), "expires": until}
    return {**asked, **changes}


def run_body(spec: TimetableSpec, number: int, **changes: Any) -> dict[str, Any]:
    return body(spec.run(TIMETABLE, number), part_id(TIMETABLE, number), **changes)


async def approved(world: World, **changes: Any) -> TimetableSpec:
    spec = timetable_of(world, **changes)
    world.record(await world.ask("consent", body(spec, TIMETABLE)))
    return spec


async def refused(world: World, asked: dict[str, Any], code: str) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        async with asyncio.timeout(20):
            await world.ask("consent", asked)
    assert caught.value.code == code, caught.value
    return caught.value


async def ended(world: World, job: str, spec: Any, outcome: str = "succeeded") -> None:
    asked = {"job": job, "digest": spec_digest(spec), "outcome": outcome, "model": None}
    await world.ask("finish", {**asked, "head": world.head()})


async def spent(world: World) -> float:
    (domain,) = await world.assembly.context.budgets.report(exact=False)
    return float(domain["spent"])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "agent", policy=ASKS)


@pytest.fixture
def private(tmp_path: Path) -> World:
    return World(tmp_path / "agent", policy=ASKS, privacy=BUDGET, spec_changes=PRIVATE)


async def test_one_approval_covers_each_run_at_its_time(world: World) -> None:
    spec = await approved(world)
    for number in (1, 2, 3):
        world.now = spec.timetable.at(number) + 10
        reply = await world.ask("consent", run_body(spec, number))
        assert reply["approval"]["body"]["spec"] == spec_digest(spec.run(TIMETABLE, number))
        again = await world.ask("consent", run_body(spec, number))
        assert again["approval"] == reply["approval"]
    assert world.assembly.inbox.list(waiting=False) == []


async def test_the_approval_lasts_as_long_as_the_runs(world: World) -> None:
    spec = timetable_of(world, {"runs": 40})
    asked = body(spec, TIMETABLE, expires=spec.timetable.ends)
    reply = await world.ask("consent", asked)
    assert reply["approval"]["body"]["expires"] == FIRST + 40 * DAY


async def test_a_timetable_longer_than_the_owner_allows_is_refused(world: World) -> None:
    error = await refused(world, body(timetable_of(world, {"runs": 100}), TIMETABLE),
                          "timetable_too_long")  # fmt: skip
    assert "92 days" in error.message
    assert world.store.job(TIMETABLE) is None


async def test_a_run_is_refused_before_its_time(world: World) -> None:
    spec = await approved(world)
    world.now = FIRST - MAX_SKEW - 1
    await refused(world, run_body(spec, 1), "too_early")
    world.now = FIRST - MAX_SKEW
    assert await world.ask("consent", run_body(spec, 1))
    await refused(world, run_body(spec, 2), "too_early")


async def test_a_run_is_refused_after_its_window(world: World) -> None:
    spec = await approved(world)
    world.now = FIRST + 3600 + MAX_SKEW + 1
    await refused(world, run_body(spec, 1), "too_late")
    world.now = spec.timetable.at(2)
    assert await world.ask("consent", run_body(spec, 2))


async def test_a_run_that_was_approved_in_time_begins_in_time(world: World) -> None:
    """A centre that holds an approved run back does not choose the day on which rows are read."""
    spec = await approved(world)
    world.now = FIRST
    await world.ask("consent", run_body(spec, 1))
    world.now = FIRST + 3600 + MAX_SKEW + 1
    run = spec.run(TIMETABLE, 1)
    with pytest.raises(SecureFlowError) as caught:
        world.assembly.context.approved(part_id(TIMETABLE, 1), spec_digest(run))
    assert caught.value.code == "too_late"


async def test_a_run_that_has_begun_goes_on_beyond_its_window(world: World) -> None:
    spec = await approved(world)
    world.now = FIRST
    await world.ask("consent", run_body(spec, 1))
    job, digest = part_id(TIMETABLE, 1), spec_digest(spec.run(TIMETABLE, 1))
    world.now = FIRST + 3600 + MAX_SKEW + 1
    with world.store.transaction():  # of another job
        world.store.add_leaf(OwnLeaf("ab" * 32, OTHER, "update", {"leaf": {}}))
    with pytest.raises(SecureFlowError):
        world.assembly.context.approved(job, digest)
    with world.store.transaction():
        world.store.add_leaf(OwnLeaf("cd" * 32, job, "update", {"leaf": {}}))
    assert world.assembly.context.approved(job, digest)[0].job == job


async def test_a_run_comes_once(world: World) -> None:
    spec = await approved(world)
    world.now = FIRST
    await world.ask("consent", run_body(spec, 1))
    error = await refused(world, body(spec.run(TIMETABLE, 1), OTHER), "part_refused")
    assert "one id" in error.message
    await ended(world, part_id(TIMETABLE, 1), spec.run(TIMETABLE, 1))
    job = spec_digest(spec.run(TIMETABLE, 1))
    with pytest.raises(SecureFlowError) as caught:
        world.assembly.context.approved(part_id(TIMETABLE, 1), job)
    assert caught.value.code == "job_finished"


@pytest.mark.parametrize(
    "changes",
    [{"plan": {"rounds": 4}}, {"purpose": "advertising"}, {"not_after": FIRST + 9999},
     {"not_before": FIRST - 9999}, {"submitter": "usr_mallory"}],
    ids=str,
)  # fmt: skip
async def test_a_run_of_another_spec_is_refused(world: World, changes: dict[str, Any]) -> None:
    spec = await approved(world)
    world.now = FIRST
    planned = dump(spec.run(TIMETABLE, 1))
    merged = {
        name: {**planned[name], **value} if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    other = parse(type(spec.job), {**planned, **merged})
    await refused(world, body(other, part_id(TIMETABLE, 1)), "part_refused")


async def test_more_runs_than_were_approved_are_refused(world: World) -> None:
    spec = await approved(world)
    world.now = spec.timetable.ends
    beyond = replace(
        spec.job, name="t #4", not_before=world.now, not_after=world.now + 60,
        part_of=Part(TIMETABLE, 4),
    )  # fmt: skip
    await refused(world, body(beyond, part_id(TIMETABLE, 4)), "part_refused")


async def test_a_run_of_a_timetable_that_ended_is_refused(world: World) -> None:
    spec = await approved(world)
    await ended(world, TIMETABLE, spec, "cancelled")
    world.now = FIRST
    await refused(world, run_body(spec, 1), "job_finished")


async def test_a_run_after_the_approvals_end_is_refused_and_nobody_is_asked(world: World) -> None:
    spec = timetable_of(world)
    await world.ask("consent", body(spec, TIMETABLE, expires=spec.timetable.at(2)))
    world.now = spec.timetable.at(2)
    await refused(world, run_body(spec, 2), "approval_expired")
    assert world.assembly.inbox.list(waiting=False) == []


async def test_a_run_needs_no_other_data_but_reads_what_was_published_since(world: World) -> None:
    spec = await approved(world)
    with world.store.transaction():
        fact = world.store.fact("dataset/customers")
        world.store.set_fact("dataset/customers", {**fact, "salt": "11" * 32})
    world.now = FIRST
    assert await world.ask("consent", run_body(spec, 1))
    declared = world.store.job(part_id(TIMETABLE, 1))
    assert declared is not None
    assert declared.declared is not None
    assert declared.declared["salt"] == "11" * 32


def test_a_changed_declaration_covers_no_run() -> None:
    """Only the file may be another one: columns, bounds and budget are what was approved."""
    approved_as = {"dataset": {"name": "customers", "rows": 1}, "salt": "11", "commitment": "aa"}
    whole = JobRecord(TIMETABLE, "ab" * 32, {"timetable": {}}, b"", 1, 9, declared=approved_as)
    sweep = replace(whole, spec={"points": []})

    def published(**changes: Any) -> Any:
        return SimpleNamespace(as_json=lambda: {**approved_as, **changes})

    check_same_data("job_2", whole, published(salt="22", commitment="bb"))
    other = published(dataset={"name": "customers", "rows": 2})
    for record, now in ((whole, other), (sweep, published(commitment="bb")), (whole, None)):
        with pytest.raises(SecureFlowError) as caught:
            check_same_data("job_2", record, now)
        assert caught.value.code == "declaration_changed"


async def test_a_policy_that_came_later_forbids_a_run(world: World) -> None:
    spec = await approved(world)
    none = ASKS + 'forbid(principal, action == Action::"training", resource);'
    world.assembly.consent.replace_policies(CedarPolicies([Policy("new.cedar", none, "")]))
    world.now = FIRST
    await refused(world, run_body(spec, 1), "consent_refused")


@pytest.mark.parametrize("by", ["a rule", "a policy"])
async def test_what_two_people_decide_once_they_decide_as_a_timetable(
    world: World, by: str
) -> None:
    """Else a training that two people must decide is a timetable of one run, and one decides."""
    two = '@two_people("why") permit(principal, action == Action::"training", resource);'
    policies = CedarPolicies([Policy("own.cedar", ASKS + (two if by == "a policy" else ""), "")])
    rules = (TwoPeopleRule(kinds=("training",), reason="why"),) if by == "a rule" else ()
    decisions = Decisions(policies, lambda: rules)
    asked, _ = await world.assembly.agent._approvals._check(timetable_of(world, {"runs": 1}))
    decided = decisions.decision(asked)
    assert (decided.effect, decided.two_people) == ("ask", ("why",))
    assert decisions.two_people(asked) == ("why",)
    assert (
        Decisions(CedarPolicies([Policy("own.cedar", ASKS, "")])).decision(asked).effect == "allow"
    )


async def test_policies_see_what_runs_and_how_often(tmp_path: Path) -> None:
    few = (
        'permit(principal, action == Action::"timetable", resource) when '
        f'{{context.of == "training" && context.runs <= 3 && context.every >= {DAY} && '
        'context.columns.contains("age")};'
    )
    world = World(tmp_path, policy=few)
    assert await world.ask("consent", body(timetable_of(world), TIMETABLE))


async def test_all_runs_are_reserved_when_the_timetable_is_approved(private: World) -> None:
    spec = timetable_of(private)
    kinds = private.assembly.context.kinds
    one, every = kinds.of(spec.job).charge(spec.job), kinds.of(spec).charge(spec)
    assert every == one * 3
    reply = await private.ask("consent", body(spec, TIMETABLE))
    private.record(reply)
    assert reply
    whole = await spent(private)
    private.now = FIRST
    await private.ask("consent", run_body(spec, 1))
    assert await spent(private) == whole


async def test_a_timetable_that_does_not_fit_the_budget_is_refused_before_anybody_is_asked(
    tmp_path: Path,
) -> None:
    world = World(tmp_path / "agent", privacy={**BUDGET, "epsilon": 1.0}, spec_changes=PRIVATE)
    await refused(world, body(timetable_of(world, {"runs": 30}), TIMETABLE), "budget_exceeded")
    assert world.assembly.inbox.list(waiting=False) == []


async def test_what_no_run_drew_is_given_back_at_the_end(private: World) -> None:
    spec = await approved(private)
    await ended(private, TIMETABLE, spec, "cancelled")
    assert await spent(private) == 0.0


GRANTED = ("customers", "prj_0123456789", ("age", "job", "income"))


async def test_each_run_is_a_use_of_the_grant(world: World) -> None:
    made = world.assembly.grants.create(GrantTerms(*GRANTED, FIRST + 90 * DAY, uses=3))
    spec = await approved(world)
    assert world.assembly.grants.used(made.id).uses == 3
    world.now = FIRST
    await world.ask("consent", run_body(spec, 1))
    uses = {one.job: one.counted for one in world.store.grant_uses(made.id)}
    assert uses == {TIMETABLE: 2, part_id(TIMETABLE, 1): 1}
    await ended(world, TIMETABLE, spec, "cancelled")
    assert world.assembly.grants.used(made.id).uses == 1


async def test_a_grant_with_too_few_uses_or_too_short_a_life_is_refused(world: World) -> None:
    made = world.assembly.grants.create(GrantTerms(*GRANTED, FIRST + 90 * DAY, uses=2))
    short = world.assembly.grants.create(GrantTerms(*GRANTED, FIRST + DAY))
    error = await refused(world, body(timetable_of(world), TIMETABLE), "grant_missing")
    assert "3 runs" in str(error.details["grants"][made.id])
    assert "before the timetable ends" in str(error.details["grants"][short.id])


async def test_revoking_the_grant_ends_the_timetable(world: World) -> None:
    from secureflow.agent.verbs.stopping import Cause

    made = world.assembly.grants.create(GrantTerms(*GRANTED, FIRST + 90 * DAY))
    spec = await approved(world)
    stopped = await world.assembly.stopping.stop(Cause("grant_revoked", made.id))
    assert [one.job for one in stopped] == [TIMETABLE]
    world.now = FIRST
    await refused(world, run_body(spec, 1), "job_finished")


async def test_a_timetable_itself_opens_nothing(world: World) -> None:
    spec = await approved(world)
    named = {"job": TIMETABLE, "digest": spec_digest(spec), "generation": 1}
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("challenge", named)
    assert caught.value.code in {"protection_unsupported", "invalid_request"}
