"""The timetable's script without a network: driven whole, crashed everywhere, runs left out."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from secureflow.domain.ids import part_id
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.privacy.accounting import epsilon
from secureflow.engines.script import AwaitTime
from secureflow.engines.statistics.charges import charge
from secureflow.texts import chinese
from tests.unit.engines.run.test_ending import CANCELLED, ended
from tests.unit.engines.timetable.world import DAY, FIRST, TimetableWorld
from tests.unit.engines.training.world import JOB, Crash, Journal, drive


class Earlier(TimetableWorld):
    """Its times have passed."""

    more: ClassVar[dict[str, Any]] = {
        "timetable": {"first": FIRST - 4 * DAY, "every": DAY, "runs": 3, "window": 600}
    }


class Strict(TimetableWorld):
    more: ClassVar[dict[str, Any]] = {"stop_on_failure": True}


def told(report: dict[str, Any]) -> dict[str, Any]:
    """The report without what the clock says."""
    rows = [{k: v for k, v in row.items() if k != "ended"} for row in report["runs"]]
    gone = {"ledger", "started", "finished", "runs"}
    return {**{k: v for k, v in report.items() if k not in gone}, "runs": rows}


def test_every_run_is_a_job_of_its_own_at_its_time() -> None:
    world = TimetableWorld()
    report = drive(world, [])
    assert world.awaited == [(FIRST + n * DAY, FIRST + n * DAY + 3600) for n in range(3)]
    assert world.ran == [part_id(JOB, number) for number in (1, 2, 3)]
    assert [row["state"] for row in report["runs"]] == ["succeeded"] * 3
    assert world.states == ["proposed", "approved", "admitted", "running"]
    parts = [one["document"] for one in world.entries if one.get("kind") == "job.part"]
    assert [(one["part"], one["number"]) for one in parts] == [
        (part_id(JOB, number), number) for number in (1, 2, 3)
    ]


def test_killed_anywhere_it_runs_each_run_once_and_ends_alike() -> None:
    whole = TimetableWorld()
    expected, effects = told(drive(whole, journal := [])), len(journal)
    for place in range(effects):
        world, kept = TimetableWorld(), Journal()
        with pytest.raises(Crash):
            drive(world, kept, die_at=place)
        assert told(drive(world, kept)) == expected
        assert world.ran == whole.ran


def test_a_run_that_is_left_out_costs_nothing_and_is_in_the_ledger() -> None:
    world = TimetableWorld()
    world.out = {2: "paused"}
    report = drive(world, [])
    assert world.ran == [part_id(JOB, 1), part_id(JOB, 3)]
    assert [row["state"] for row in report["runs"]] == ["succeeded", "skipped", "succeeded"]
    (left,) = [one["document"] for one in world.entries if one.get("kind") == "timetable.skipped"]
    assert left == {"number": 2, "at": FIRST + DAY, "why": "paused"}
    two = charge(world.spec.job) * 2
    assert report["privacy"]["epsilon"] == round(epsilon(two, 1e-6), 6)
    assert world.progress["last"][1]["why"] == "paused"


def test_a_run_whose_time_passed_while_the_one_before_ran_says_so() -> None:
    world = Earlier()
    world.out = {-2: "missed"}  # the second of those days
    report = drive(world, [])
    assert report["runs"][1]["why"] == "overlapped"


def test_a_run_that_fails_is_noted_and_the_next_one_follows() -> None:
    world = TimetableWorld()
    world.fail = frozenset({1})
    report = drive(world, [])
    assert [row["state"] for row in report["runs"]] == ["failed", "succeeded", "succeeded"]
    assert report["runs"][0]["error"]["code"] == "party_silent"


def test_the_first_failure_ends_it_where_that_was_asked_for() -> None:
    world = Strict()
    world.fail = frozenset({2})
    report = drive(world, [])
    assert len(report["runs"]) == 2


def test_without_one_run_that_succeeded_it_fails_with_the_first_reason() -> None:
    world = TimetableWorld()
    world.out, world.fail = {1: "missed"}, frozenset({2, 3})
    error = ended(world)
    assert error is not None
    assert error.code == "no_run_succeeded"
    assert "bank-b is silent" in error.message


def test_a_cancelled_timetable_ends_for_every_party() -> None:
    world = TimetableWorld(names_models=True)
    error = ended(world, lambda _, effect: isinstance(effect, AwaitTime))
    assert error is not None
    assert error.code == CANCELLED.code
    assert world.ran == []
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert (verdict.ok, verdict.missing) == (True, ()), verdict


def test_what_people_are_told_has_its_chinese() -> None:
    world = TimetableWorld()
    world.out = {1: "missed"}
    report = drive(world, [])
    assert report["runs"][0]["reason"]
    for row in report["disclosure"]:
        assert chinese(row["sees"]) != row["sees"] or "texts" in row
