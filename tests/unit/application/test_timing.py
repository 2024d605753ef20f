"""Times and priorities of jobs: who may choose them, who sees the queue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.access import Principal
from secureflow.application.jobs.timing import LONGEST
from secureflow.domain.projects import ProjectRole
from secureflow.domain.queue import QueuedJob
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.sweep import SweepSpec
from secureflow.domain.specs.training import TrainingSpec
from tests.stage import BANKS, Stage
from tests.unit.application.refusing import refused


async def submitted(stage: Stage, who: Principal | None = None, **more: Any) -> Any:
    wanted = replace(stage.wanted(), **more)
    return await stage.services.jobs.submit(who or stage.scientist("bank-a"), wanted)


async def queued(stage: Stage, *lines: QueuedJob) -> None:
    async with stage.database.begin() as work:
        for line in lines:
            await work.queue.add(line)
        await work.commit()


async def test_owners_approve_the_time_with_the_spec(stage: Stage) -> None:
    at = stage.now[0] + 3600
    job = await submitted(stage, not_before=at)
    assert job.spec["not_before"] == at
    assert job.digest == spec_digest(parse(TrainingSpec, job.spec))
    assert job.progress["expires"] > at
    usual = await submitted(stage)
    assert "not_before" not in usual.spec, "what was signed without it keeps its bytes"


async def test_the_parts_of_a_sweep_have_its_time(stage: Stage) -> None:
    at = stage.now[0] + 60
    wanted = stage.wanted()
    parts = {**wanted.parts, "sweep": {"grid": {"plan.learning_rate": [0.1, 0.2]}}}
    checked = await stage.services.jobs.dry_run(
        stage.scientist("bank-a"), replace(wanted, kind="sweep", parts=parts, not_before=at)
    )
    spec = parse(SweepSpec, checked.spec)
    assert spec.not_before == at
    assert [one.not_before for one in spec.parts("job_1")] == [at, at]
    assert checked.digest == spec_digest(spec)


@pytest.mark.parametrize("seconds", [-1, LONGEST + 1])
async def test_a_time_that_cannot_be_is_refused(stage: Stage, seconds: int) -> None:
    with refused("invalid_spec", "not_before"):
        await submitted(stage, not_before=stage.now[0] + seconds)


async def test_a_scientist_chooses_up_to_the_usual_priority(stage: Stage) -> None:
    assert (await submitted(stage, priority=5)).priority == 5
    with refused("priority_refused", "5"):
        await submitted(stage, priority=6)
    with refused("priority_refused"):  # a dry run says so before anybody is asked
        await stage.services.jobs.dry_run(
            stage.scientist("bank-a"), replace(stage.wanted(), priority=9)
        )


async def test_an_administrator_and_the_operator_raise_a_priority(stage: Stage) -> None:
    job, queue = await submitted(stage), stage.services.queue
    assert (await queue.prioritise(stage.admin("bank-a"), job.id, 7)).priority == 7
    with refused("priority_refused"):
        await queue.prioritise(stage.admin("bank-a"), job.id, 8)
    assert (await queue.prioritise(stage.operator, job.id, 9)).priority == 9
    with refused("priority_refused"):  # what another set higher is not taken back either
        await queue.prioritise(stage.scientist("bank-a"), job.id, 1)
    assert stage.ledger.kinds.count("job.prioritised") == 2


async def test_others_change_no_priority(stage: Stage) -> None:
    job, queue = await submitted(stage), stage.services.queue
    with refused("forbidden", "did not submit"):
        await queue.prioritise(stage.admin("bank-b"), job.id, 5)
    with refused("not_found"):
        await queue.prioritise(stage.admin("outsider"), job.id, 5)
    same = replace(stage.scientist("bank-a"), name="another")
    with refused("forbidden", "did not submit"):
        await queue.prioritise(same, job.id, 4)


async def test_a_started_job_keeps_its_priority(stage: Stage) -> None:
    job = await submitted(stage)
    await queued(stage, QueuedJob(job.id, "bank-a", "ada", 5, 1, 0, True))
    with refused("already_started"):
        await stage.services.queue.prioritise(stage.admin("bank-a"), job.id, 6)


async def test_a_waiting_line_follows_the_priority(stage: Stage) -> None:
    job = await submitted(stage)
    await queued(stage, QueuedJob(job.id, "bank-a", "ada", 5, 1))
    await stage.services.queue.prioritise(stage.scientist("bank-a"), job.id, 2)
    ((line, _),) = await stage.services.queue.list(stage.scientist("bank-a"))
    assert line.priority == 2


async def test_an_organisation_sees_its_own_part_of_the_queue(stage: Stage) -> None:
    now = stage.now[0]
    lines = [
        QueuedJob(f"job_{bank}", bank, "ada", 5, now - age, 0, started)
        for bank, age, started in zip(BANKS, (3, 2, 1), (False, False, True), strict=True)
    ]
    await queued(stage, *lines)
    ((line, at),) = await stage.services.queue.list(stage.scientist(BANKS[1]))
    assert (line.job, at.ahead) == (f"job_{BANKS[1]}", 1)  # it learns that one is before it
    every = await stage.services.queue.list(stage.operator)
    assert [one.job for one, _ in every] == [f"job_{bank}" for bank in (BANKS[2], *BANKS[:2])]


async def test_who_has_the_name_of_an_erased_submitter_changes_no_priority(stage: Stage) -> None:
    job, who = await submitted(stage), stage.scientist("bank-a")
    rows = stage.database.tables.rows["users"]
    rows[who.user] = replace(rows[who.user], created=job.created + 1)
    with refused("forbidden", "did not submit"):
        await stage.services.queue.prioritise(who, job.id, 4)


async def test_a_restricted_project_hides_its_part_of_the_queue(stage: Stage) -> None:
    job, who = await submitted(stage), stage.scientist("bank-a")
    await queued(stage, QueuedJob(job.id, "bank-a", "ada", 5, 1))
    admin = stage.admin("bank-a")
    await stage.services.project_states.change(admin, job.project, restricted=True)
    assert await stage.services.queue.list(who) == []
    assert len(await stage.services.queue.list(admin)) == 1
    await stage.services.project_people.set(admin, job.project, who.user, [ProjectRole.SCIENTIST])
    assert len(await stage.services.queue.list(who)) == 1
