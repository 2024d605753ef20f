"""The timetable's script without a network: driven whole, crashed everywhere, runs left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.engines.kinds import ENGINE_KINDS
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.privacy.accounting import epsilon
from secureflow.engines.script import AwaitTime
from secureflow.engines.statistics.charges import charge
from secureflow.texts import chinese
from tests.unit.engines.evaluation.world import FixedWorld
from tests.unit.engines.mpc.world import MpcWorld
from tests.unit.engines.prediction.world import PredictionWorld
from tests.unit.engines.psi.world import PsiWorld
from tests.unit.engines.recipes.world import PreparationWorld
from tests.unit.engines.run.test_ending import CANCELLED, ended
from tests.unit.engines.statistics.test_statistics_script import StatisticsWorld
from tests.unit.engines.timetable.world import DAY, FIRST, TimetableWorld
from tests.unit.engines.training.world import JOB, Crash, Journal, World, drive


class Earlier(TimetableWorld):
    """Its times have passed."""

    more: ClassVar[Mapping[str, Any]] = {
        "timetable": {"first": FIRST - 4 * DAY, "every": DAY, "runs": 3, "window": 600}
    }


class Strict(TimetableWorld):
    more: ClassVar[Mapping[str, Any]] = {"stop_on_failure": True}


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
    journal: Journal = []
    expected, effects = told(drive(whole, journal)), len(journal)
    for place in range(effects):
        world = TimetableWorld()
        kept: Journal = []
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


WORLDS: tuple[type[World], ...] = (
    *(FixedWorld, MpcWorld, PredictionWorld, PsiWorld, PreparationWorld, StatisticsWorld),
)


@pytest.mark.parametrize("made", WORLDS, ids=lambda one: str(one.__name__))
def test_every_kind_that_starts_no_other_runs_again_and_again(made: type[World]) -> None:
    run = dump(made().spec)
    if run.get("privacy") is None and "min_contributors" in run:
        run["min_contributors"] = len(run["roster"])
    shared = {name: run[name] for name in ("project", "name", "purpose", "submitter", "roster")}
    private = run.get("privacy")
    common = private and {name: private[name] for name in ("delta", "unit", "noise")}
    times = {"first": FIRST, "every": DAY, "runs": 3, "window": 600}
    spec: Any = SPEC_KINDS.parse(
        {**shared, "kind": "timetable", "job": run, "timetable": times, "privacy": common}
    )
    SPEC_KINDS.check(spec)
    part = spec.run(JOB, 2)
    SPEC_KINDS.check(part)
    assert SPEC_KINDS.parse(dump(part)) == part
    kind = ENGINE_KINDS.of(spec)
    assert kind.charge(spec) == ENGINE_KINDS.of(part).charge(part) * 3
    explained = kind.explanation(spec, tee="", accounting=None, rounds=(), dropouts=())
    assert explained["attacks"]
    assert explained["disclosure"][-1]["who"] == "whoever has the report"
