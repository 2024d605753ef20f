"""A hostile centre and an approved timetable: it gets the runs that were approved, and no other.

The owner has approved three runs of one training, a day apart, each to begin within an hour. The
centre tries to have more of them, earlier, later, twice, of another kind, or after the owner took
its approval back. None of it reads a row, and nobody is asked: what a timetable covers, a person
decided once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.agent_people import waiting_item
from peers.agent_world import NOW, World

from secureflow.agent.verbs.approvals import Approvals
from secureflow.agent.verbs.stopping import Cause
from secureflow.domain.grants import GrantTerms
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import JobSpec, spec_digest
from secureflow.domain.specs.partforms import Part
from secureflow.domain.specs.timetable import TimetableSpec
from secureflow.kit.clock import MAX_SKEW
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_timetables import (
    ASKS,
    DAY,
    FIRST,
    GRANTED,
    OTHER,
    TIMETABLE,
    approved,
    body,
    ended,
    run_body,
    timetable_of,
)

Attack = Callable[[World, TimetableSpec], Awaitable[tuple[str, JobSpec]]]
"""Prepares an attack; returns the job and the spec that the centre then asks about."""
ATTACKS: dict[str, tuple[Attack, str]] = {}


def attack(code: str) -> Callable[[Attack], Attack]:
    def keep(one: Attack) -> Attack:
        ATTACKS[one.__name__] = one, code
        return one

    return keep


@attack("too_early")
async def run_early(world: World, spec: TimetableSpec) -> tuple[str, JobSpec]:
    world.now = FIRST - MAX_SKEW - 1
    return part_id(TIMETABLE, 1), spec.run(TIMETABLE, 1)


@attack("too_early")
async def next_run_at_once(world: World, spec: TimetableSpec) -> tuple[str, JobSpec]:
    world.now = FIRST
    await world.ask("consent", run_body(spec, 1))
    return part_id(TIMETABLE, 2), spec.run(TIMETABLE, 2)


@attack("too_late")
async def run_late(world: World, spec: TimetableSpec) -> tuple[str, JobSpec]:
    world.now = FIRST + 3600 + MAX_SKEW + 1
    return part_id(TIMETABLE, 1), spec.run(TIMETABLE, 1)


@attack("part_refused")
async def an_approved_number_under_another_time(
    world: World, spec: TimetableSpec
) -> tuple[str, JobSpec]:
    world.now = FIRST + DAY // 2
    run: Any = spec.run(TIMETABLE, 1)
    later = replace(run, not_before=world.now, not_after=world.now + 60)
    return part_id(TIMETABLE, 1), later


@attack("part_refused")
async def the_same_run_as_another_job(world: World, spec: TimetableSpec) -> tuple[str, JobSpec]:
    world.now = FIRST
    await world.ask("consent", run_body(spec, 1))
    return OTHER, spec.run(TIMETABLE, 1)


@attack("part_refused")
async def an_earlier_run_after_a_later_one(world: World, spec: TimetableSpec) -> tuple[str, Any]:
    close = timetable_of(world, {"every": 600, "window": 600})
    world.record(await world.ask("consent", body(close, OTHER)))
    world.now = FIRST + 600
    await world.ask("consent", body(close.run(OTHER, 2), part_id(OTHER, 2)))
    return part_id(OTHER, 1), close.run(OTHER, 1)


@attack("part_refused")
async def another_spec(world: World, spec: TimetableSpec) -> tuple[str, JobSpec]:
    world.now = FIRST
    run: Any = spec.run(TIMETABLE, 1)
    return part_id(TIMETABLE, 1), replace(run, purpose="advertising")


@attack("part_refused")
async def another_number(world: World, spec: TimetableSpec) -> tuple[str, JobSpec]:
    world.now = FIRST
    run: Any = spec.run(TIMETABLE, 1)
    return part_id(TIMETABLE, 2), replace(run, part_of=Part(TIMETABLE, 2))


@attack("part_refused")
async def one_run_more(world: World, spec: TimetableSpec) -> tuple[str, JobSpec]:
    world.now = FIRST + 3 * DAY
    more = replace(spec, timetable=replace(spec.timetable, runs=4))
    return part_id(TIMETABLE, 4), more.run(TIMETABLE, 4)


@attack("not_approved")
async def a_timetable_that_nobody_approved(
    world: World, spec: TimetableSpec
) -> tuple[str, JobSpec]:
    world.now = FIRST
    return part_id(OTHER, 1), spec.run(OTHER, 1)


@attack("job_finished")
async def a_run_after_the_end(world: World, spec: TimetableSpec) -> tuple[str, JobSpec]:
    await ended(world, TIMETABLE, spec, "cancelled")
    world.now = FIRST
    return part_id(TIMETABLE, 1), spec.run(TIMETABLE, 1)


@attack("project_stopped")
async def a_run_after_the_owner_stopped_the_project(
    world: World, spec: TimetableSpec
) -> tuple[str, JobSpec]:
    await world.assembly.stopping.stop(Cause("project_stopped", spec.project))
    world.now = FIRST
    return part_id(TIMETABLE, 1), spec.run(TIMETABLE, 1)


@attack("job_finished")
async def a_run_after_the_owner_withdrew_its_approval(
    world: World, spec: TimetableSpec
) -> tuple[str, JobSpec]:
    await world.assembly.stopping.stop(Cause("approval_withdrawn", TIMETABLE))
    world.now = FIRST
    return part_id(TIMETABLE, 1), spec.run(TIMETABLE, 1)


@attack("approval_withdrawn")
async def the_timetable_again_after_the_owner_withdrew_its_approval(
    world: World, spec: TimetableSpec
) -> tuple[str, JobSpec]:
    await world.assembly.stopping.stop(Cause("approval_withdrawn", TIMETABLE))
    world.reopen()
    return TIMETABLE, spec


@attack("spec_digest_mismatch")
async def the_timetable_again_with_more_runs(
    world: World, spec: TimetableSpec
) -> tuple[str, JobSpec]:
    return TIMETABLE, replace(spec, timetable=replace(spec.timetable, runs=30))


@pytest.mark.parametrize("name", ATTACKS)
async def test_the_centre_gets_no_run_that_was_not_approved(tmp_path: Path, name: str) -> None:
    world = World(tmp_path / "agent", policy=ASKS)
    spec = await approved(world)
    prepare, code = ATTACKS[name]
    job, asked = await prepare(world, spec)
    with pytest.raises(SecureFlowError) as caught:
        async with asyncio.timeout(20):
            await world.ask("consent", body(asked, job, expires=world.now + DAY))
    assert caught.value.code == code, caught.value
    named = {"job": job, "digest": spec_digest(asked)}
    with pytest.raises(SecureFlowError):
        await world.ask("train", {**world.train_body(1), **named})
    assert world.worker.calls == []
    assert world.assembly.inbox.list(waiting=False) == []


async def test_a_run_held_back_until_another_day_never_begins(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy=ASKS)
    spec = await approved(world)
    world.now = FIRST
    await world.ask("consent", run_body(spec, 1))
    world.now = FIRST + 3600 + MAX_SKEW + 1
    named = {"job": part_id(TIMETABLE, 1), "digest": spec_digest(spec.run(TIMETABLE, 1))}
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("challenge", {**named, "generation": 1})
    assert caught.value.code == "too_late"
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("train", {**world.train_body(1), **named})
    assert caught.value.code == "too_late"
    assert world.worker.calls == []


async def test_no_run_follows_a_revoked_grant_the_centre_silent(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy=ASKS)
    made = world.assembly.grants.create(GrantTerms(*GRANTED, NOW + 90 * DAY))
    spec = await approved(world)
    world.now = FIRST
    await world.ask("consent", run_body(spec, 1))
    stopped = await world.assembly.stopping.stop(Cause("grant_revoked", made.id))
    assert {one.job for one in stopped} == {TIMETABLE, part_id(TIMETABLE, 1)}
    world.now = FIRST + DAY
    with pytest.raises(SecureFlowError):
        await world.ask("consent", run_body(spec, 2))
    named = {"job": part_id(TIMETABLE, 1), "digest": spec_digest(spec.run(TIMETABLE, 1))}
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("train", {**world.train_body(1), **named})
    assert caught.value.code == "grant_revoked"
    assert world.worker.calls == []


async def test_a_withdrawn_approval_ends_the_run_that_goes_on_and_no_other_job(
    tmp_path: Path,
) -> None:
    """By the owner alone, the centre silent: in the record at once, and after a restart."""
    world = World(tmp_path / "agent", policy=ASKS)
    spec = await approved(world)
    other = await world.ask("consent", body(spec, OTHER))
    world.now = FIRST
    await world.ask("consent", run_body(spec, 1))
    began = time.monotonic()
    stopped = await world.assembly.stopping.stop(Cause("approval_withdrawn", TIMETABLE))
    assert time.monotonic() - began < 5.0
    assert {one.job for one in stopped} == {TIMETABLE, part_id(TIMETABLE, 1)}
    named = {"job": part_id(TIMETABLE, 1), "digest": spec_digest(spec.run(TIMETABLE, 1))}
    for _ in range(2):
        with pytest.raises(SecureFlowError) as caught:
            await world.ask("train", {**world.train_body(1), **named})
        assert caught.value.code == "approval_withdrawn"
        world.reopen()
    assert [leaf.kind for leaf in world.store.leaves(TIMETABLE)] == ["approval", "revoked"]
    assert (await world.ask("consent", body(spec, OTHER)))["approval"] == other["approval"]
    assert world.worker.calls == []


async def test_a_run_alone_is_withdrawn_and_the_next_one_follows(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy=ASKS)
    spec = await approved(world)
    world.now = FIRST
    await world.ask("consent", run_body(spec, 1))
    (stopped,) = await world.assembly.stopping.stop(
        Cause("approval_withdrawn", part_id(TIMETABLE, 1))
    )
    assert stopped.job == part_id(TIMETABLE, 1)
    world.now = FIRST + DAY
    assert await world.ask("consent", run_body(spec, 2))


async def test_only_an_approval_that_was_given_is_withdrawn(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy=ASKS)
    with pytest.raises(SecureFlowError) as caught:
        await world.assembly.stopping.stop(Cause("approval_withdrawn", TIMETABLE))
    assert caught.value.code == "not_found"


async def test_a_run_whose_approval_is_renewed_is_still_one_use_of_the_grant(
    tmp_path: Path,
) -> None:
    """Short approvals, asked for again and again, would take the uses of the runs that follow."""
    world = World(tmp_path / "agent", policy=ASKS)
    made = world.assembly.grants.create(GrantTerms(*GRANTED, NOW + 90 * DAY, uses=3))
    spec = await approved(world)
    for seconds in (0, 60, 120):
        world.now = FIRST + seconds
        await world.ask("consent", run_body(spec, 1, expires=world.now + 30))
    assert world.assembly.grants.used(made.id).uses == 3


async def test_an_approval_that_the_centre_has_not_fetched_is_withdrawn_too(
    tmp_path: Path,
) -> None:
    """A person approved while the link was down: the centre gets no signature for it later."""
    world = World(tmp_path / "agent", policy="")
    spec = timetable_of(world)
    asking, item = await waiting_item(world, body(spec, TIMETABLE))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    world.assembly.inbox.decide(item.id, "approved")
    assert await world.assembly.stopping.stop(Cause("approval_withdrawn", TIMETABLE)) == []
    world.reopen()
    with pytest.raises(SecureFlowError) as caught:
        async with asyncio.timeout(20):
            await world.ask("consent", body(spec, TIMETABLE))
    assert caught.value.code == "consent_refused"
    assert world.store.job(TIMETABLE) is None


async def test_an_approval_that_is_withdrawn_while_it_is_signed_is_not_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "agent", policy="")
    spec = timetable_of(world)
    commit = Approvals._commit

    def withdrawn_before(self: Approvals, *given: Any) -> Any:
        world.assembly.stopping._record(Cause("approval_withdrawn", TIMETABLE))
        return commit(self, *given)

    monkeypatch.setattr(Approvals, "_commit", withdrawn_before)
    asking, item = await waiting_item(world, body(spec, TIMETABLE))
    world.assembly.inbox.decide(item.id, "approved")
    world.assembly.inbox.wake_all()
    async with asyncio.timeout(20):
        with pytest.raises(SecureFlowError) as caught:
            await asking
    assert caught.value.code == "approval_withdrawn"
    assert world.store.job(TIMETABLE) is None
