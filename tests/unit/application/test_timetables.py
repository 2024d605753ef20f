"""Timetables at the centre: drafted and priced whole, shown, paused and taken up again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.jobs.kind import Wanted
from secureflow.application.running.timetabling import PAUSED
from secureflow.domain.jobs import Job
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.parts import has_own_turn
from secureflow.domain.specs.timetable import TimetableSpec
from secureflow.kit.errors import SecureFlowError
from tests.stage import FEATURES, Stage
from tests.unit.application.refusing import refused

DAY = 86_400
TIMES = {"every": DAY, "runs": 30}


def wanted(stage: Stage, times: Any = TIMES, at: int | None = None, **parts: Any) -> Wanted:
    asked = stage.wanted()
    run = {"kind": "training", **asked.parts, **parts}
    return replace(
        asked, kind="timetable", name="nightly", parts={"run": run, "timetable": times},
        not_before=at,
    )  # fmt: skip


async def checked(stage: Stage, *given: Any, **parts: Any) -> Any:
    return await stage.services.jobs.dry_run(
        stage.scientist("bank-a"), wanted(stage, *given, **parts)
    )


async def submitted(stage: Stage, **more: Any) -> Job:
    asked = replace(wanted(stage), **more)
    return await stage.services.jobs.submit(stage.scientist("bank-a"), asked)


async def test_the_spec_names_every_run(stage: Stage) -> None:
    at = stage.now[0] + 3600
    told = await checked(stage, TIMES, at)
    spec = parse(TimetableSpec, told.spec)
    assert told.digest == spec_digest(spec)
    assert told.spec["timetable"] == {"first": at, "every": DAY, "runs": 30, "window": DAY}
    runs = spec.parts("job_0123456789")
    assert [one.not_before for one in runs] == [at + n * DAY for n in range(30)]
    assert [one.not_after for one in runs] == [at + (n + 1) * DAY for n in range(30)]
    assert {one.name for one in runs} == {f"nightly #{n + 1}" for n in range(30)}
    assert len({spec_digest(one) for one in runs}) == 30
    assert any("One approval covers 30 runs" in note for note in told.notes)


async def test_approvals_are_asked_for_until_the_last_run_has_had_its_time(stage: Stage) -> None:
    job = await submitted(stage)
    spec = parse(TimetableSpec, job.spec)
    assert job.progress["expires"] == spec.timetable.first + 30 * DAY


async def test_without_privacy_every_sum_of_several_runs_is_over_all_parties(stage: Stage) -> None:
    told = await checked(stage)
    assert told.spec["job"]["min_contributors"] == len(told.spec["roster"])


async def test_the_cost_of_all_runs_is_told_before_anybody_is_asked(stage: Stage) -> None:
    numeric = [{"column": "age", "bounds": [0, 120], "scale": "bounds"}]
    private = {
        "features": {**FEATURES, "numeric": numeric},
        "plan": {"rounds": 2, "validation": 0.0},
        "privacy": {"delta": 1e-6, "noise_multiplier": 20.0, "rows": 1000},
    }
    one = await checked(stage, {"every": DAY, "runs": 1}, **private)
    ten = await checked(stage, {"every": DAY, "runs": 10}, **private)
    cost = [float(told.details["privacy"]["epsilon"]["rdp-cks20"]) for told in (one, ten)]
    assert cost[0] < cost[1] < 10 * cost[0]
    with refused("contradictory_spec", "timetable.epsilon"):
        await checked(stage, {"every": DAY, "runs": 10, "epsilon": cost[0]}, **private)


@pytest.mark.parametrize(
    ("times", "code"),
    [
        ({"every": 60, "runs": 3}, "invalid_spec"),
        ({"every": DAY, "runs": 501}, "invalid_spec"),
        ({"every": DAY}, "invalid_spec"),
        ({"every": DAY, "runs": 400}, "contradictory_spec"),
        ({"every": DAY, "runs": 3, "window": 2 * DAY}, "contradictory_spec"),
    ],
    ids=str,
)
async def test_times_that_cannot_be_are_refused(stage: Stage, times: Any, code: str) -> None:
    with refused(code):
        await checked(stage, times)


@pytest.mark.parametrize("run", [{"kind": "sweep"}, {"kind": "timetable"}, {"kind": "no"}, {}, 7])
async def test_a_timetable_starts_no_jobs_that_start_others(stage: Stage, run: Any) -> None:
    asked = replace(wanted(stage), parts={"run": run, "timetable": TIMES})
    with refused("invalid_spec", "run.kind"):
        await stage.services.jobs.dry_run(stage.scientist("bank-a"), asked)


async def test_what_the_timetable_says_is_not_said_of_a_run(stage: Stage) -> None:
    with refused("contradictory_spec", "run.purpose"):
        await checked(stage, TIMES, None, purpose="advertising")


async def test_a_timetable_waits_in_no_place_and_its_runs_take_their_own(stage: Stage) -> None:
    job = await submitted(stage)
    spec = parse(TimetableSpec, job.spec)
    run = {"part_of": {"job": job.id, "number": 1}, "not_after": spec.run(job.id, 1).not_after}
    assert not has_own_turn(job.spec)
    assert has_own_turn(run)
    assert not has_own_turn({"part_of": {"job": job.id, "number": 1}})  # a point of a sweep
    assert has_own_turn({})


async def test_a_timetable_is_shown_with_its_next_run(stage: Stage) -> None:
    job, use = await submitted(stage), stage.services.timetables
    (view,) = (await use.list(stage.scientist("bank-b"))).items
    assert (view.job, view.of, view.every, view.runs) == (job.id, "training", DAY, 30)
    assert (view.next_run, view.next_at) == (1, job.spec["timetable"]["first"])
    assert (await use.list(stage.scientist("outsider"))).items == []
    with refused("not_found"):
        await use.get(stage.scientist("outsider"), job.id)
    with refused("not_found", "no timetable"):
        await use.get(stage.scientist("bank-a"), stage.ids["job"])


async def test_who_paused_it_takes_it_up_again(stage: Stage) -> None:
    job, use = await submitted(stage), stage.services.timetables
    paused = await use.pause(stage.owner("bank-b"), job.id)
    assert paused.paused_by == stage.owner("bank-b").name
    assert (await use.pause(stage.admin("bank-a"), job.id)).paused_by == paused.paused_by
    with refused("forbidden", "bank-b paused"):
        await use.resume(stage.scientist("bank-a"), job.id)
    assert (await use.resume(stage.admin("bank-b"), job.id)).paused_by == ""
    assert (await use.resume(stage.admin("bank-b"), job.id)).paused_by == ""
    kinds = stage.ledger.kinds
    assert (kinds.count("timetable.paused"), kinds.count("timetable.resumed")) == (1, 1)
    with refused("not_found"):
        await use.pause(stage.admin("outsider"), job.id)


async def test_a_member_that_takes_no_part_in_it_pauses_nothing(stage: Stage) -> None:
    job, use = await submitted(stage), stage.services.timetables
    rows = stage.database.tables.rows["jobs"]
    roster = [one for one in job.spec["roster"] if one["party"] != "bank-c"]
    rows[job.id] = replace(rows[job.id], spec={**job.spec, "roster": roster})
    with refused("forbidden", "bank-c neither"):
        await use.pause(stage.admin("bank-c"), job.id)


async def test_the_operator_takes_up_what_others_paused(stage: Stage) -> None:
    job, use = await submitted(stage), stage.services.timetables
    await use.pause(stage.owner("bank-b"), job.id)
    assert (await use.resume(stage.operator, job.id)).paused_by == ""
    async with stage.database.begin() as work:
        assert (await work.jobs.get(job.id)).progress[PAUSED] is None


async def test_the_owners_rules_for_a_project_look_at_a_run(stage: Stage) -> None:
    """A timetable of a kind that the project's template forbids is refused like the job itself."""
    from secureflow.domain.projecttemplates import ProjectRules

    rows = stage.database.tables.rows["projects"]
    project = rows[stage.ids["project"]]
    rows[project.id] = replace(project, rules=ProjectRules(kinds=("statistics",)))
    with pytest.raises(SecureFlowError) as alone:
        await stage.services.jobs.dry_run(stage.scientist("bank-a"), stage.wanted())
    with pytest.raises(SecureFlowError) as timed:
        await checked(stage)
    assert alone.value.code == timed.value.code
    rows[project.id] = replace(project, rules=ProjectRules(kinds=("training",)))
    assert await checked(stage)
