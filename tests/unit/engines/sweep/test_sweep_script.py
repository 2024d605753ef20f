"""The sweep's script without a network: driven whole, crashed everywhere, jobs that fail."""

from __future__ import annotations

import json
import math
import statistics
from typing import Any, ClassVar

import pytest

from secureflow.domain.ids import part_id
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.privacy.accounting import Mechanism, curve, epsilon, learn
from secureflow.engines.script import RunJob
from secureflow.engines.sweep.disclosure import attacks
from secureflow.engines.sweep.kind import SWEEP_ENGINE
from secureflow.engines.training.private import charge
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.unit.engines.run.test_ending import ended, play
from tests.unit.engines.sweep.world import FAILED, RATES, PrivateSweep, SweepWorld
from tests.unit.engines.training.world import JOB, Crash, Journal, drive


def told(report: dict[str, Any]) -> dict[str, Any]:
    """The report without what the clock says."""
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in report["points"]]
    gone = {"ledger", "started", "finished", "points"}
    return {**{k: v for k, v in report.items() if k not in gone}, "points": rows}


def test_every_point_is_a_job_in_order_and_the_best_is_named() -> None:
    world = SweepWorld()
    report = drive(world, [])
    assert world.ran == [part_id(JOB, number) for number in (1, 2, 3, 4)]
    assert [row["sets"] for row in report["points"]] == [
        {"plan.learning_rate": rate} for rate in RATES
    ]
    losses = [row["metrics"]["loss"] for row in report["points"]]
    assert losses == [abs(math.log(rate / 0.18)) + 0.07 for rate in RATES]
    assert report["best"] == {
        "metric": {"name": "loss", "better": "lower"},
        "point": 3,
        "job": part_id(JOB, 3),
        "sets": {"plan.learning_rate": 0.2},
        "model": {"digest": f"{3:064x}", "id": "mdl_3", "version": 1},
        "value": min(losses),
    }
    assert (report["rounds"], report["planned"], report["tee"]) == (12, 4, "SIMULATED SGX")
    assert report["protection"] == "sealed"
    assert world.states == ["proposed", "approved", "admitted", "running"]


def test_ledger_entries_of_the_sweep_name_its_jobs() -> None:
    world = SweepWorld(names_models=True)
    drive(world, [])
    parts = [one["document"] for one in world.entries if one.get("kind") == "job.part"]
    assert [one["part"] for one in parts] == world.ran
    assert [one["outcome"] for one in parts] == ["succeeded"] * 4
    assert parts[1]["model"] == f"{2:064x}"
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert (verdict.ok, verdict.missing) == (True, ()), verdict


@pytest.mark.parametrize("die_at", range(30))
def test_a_crash_at_any_effect_changes_nothing(die_at: int) -> None:
    undisturbed = told(drive(SweepWorld(), []))
    world, journal = SweepWorld(), Journal()
    try:
        drive(world, journal, die_at)
    except Crash:
        pass
    else:
        pytest.skip("the script has fewer effects")
    assert told(drive(world, journal)) == undisturbed
    assert world.ran == [part_id(JOB, number) for number in (1, 2, 3, 4)]


def test_a_job_that_fails_is_a_row_and_the_sweep_goes_on() -> None:
    world = SweepWorld()
    world.fail = frozenset({1, 3})
    report = drive(world, [])
    assert [row["state"] for row in report["points"]] == ["failed", "succeeded"] * 2
    assert report["points"][0]["error"] == FAILED
    assert report["best"]["point"] == 2


class Stopping(SweepWorld):
    more: ClassVar[dict[str, Any]] = {**SweepWorld.more, "stop_on_failure": True}


def test_a_sweep_may_stop_at_the_first_job_that_fails() -> None:
    world = Stopping()
    world.fail = frozenset({2})
    report = drive(world, [])
    assert [row["state"] for row in report["points"]] == ["succeeded", "failed"]
    assert (len(world.ran), report["best"]["point"], report["planned"]) == (2, 1, 4)


def test_a_sweep_in_which_nothing_succeeds_fails_with_the_first_reason() -> None:
    world = SweepWorld()
    world.fail = frozenset({1, 2, 3, 4})
    error = ended(world)
    assert error is not None
    assert (error.code, error.hint) == ("no_point_succeeded", "Start its agent.")
    assert "bank-b is silent" in error.message
    assert world.entries[-1]["document"]["outcome"] == "failed"


def test_a_cancelled_sweep_tells_every_party() -> None:
    world = SweepWorld()
    assert play(world, lambda _, effect: isinstance(effect, RunJob)) == "cancelled"
    assert {party for party, verb in world.asked if verb == "finish"} == set(world.keys)


class HigherAuc(SweepWorld):
    more: ClassVar[dict[str, Any]] = {"metric": {"name": "auc", "better": "higher"}}


class NoFigure(SweepWorld):
    more: ClassVar[dict[str, Any]] = {"metric": None}


def test_the_metric_says_which_point_is_the_best() -> None:
    assert drive(HigherAuc(), [])["best"]["point"] == 1
    report = drive(NoFigure(), [])
    assert report["best"] is None
    assert "Best by" not in [row["label"] for row in report["sections"][0]["rows"]]


class Tied(SweepWorld):
    points = tuple({"plan.learning_rate": 0.1, "plan.rounds": one} for one in (3, 4, 5))


def test_of_equally_good_points_it_is_said_that_they_are() -> None:
    report = drive(Tied(), [])
    assert (report["best"]["point"], report["best"]["tied"]) == (1, 3)
    rows = {row["label"]: row["value"] for row in report["sections"][0]["rows"]}
    assert rows["Equally good, of which it is the first"] == 3
    alone = drive(SweepWorld(), [])
    assert "tied" not in alone["best"]
    assert not any("Equally" in row["label"] for row in alone["sections"][0]["rows"])


def test_every_point_is_charged_with_its_own_noise_and_rounds() -> None:
    world = PrivateSweep()
    report = drive(world, [])
    assert SWEEP_ENGINE.charge(world.spec) == (
        Mechanism("gaussian", 4.0, 1.0, 3),
        Mechanism("gaussian", 8.0, 1.0, 5),
    )
    whole = epsilon(SWEEP_ENGINE.charge(world.spec), 1e-6)
    assert report["privacy"]["epsilon"] == pytest.approx(whole, abs=2e-6)
    assert report["privacy"]["epsilon"] >= whole
    assert report["privacy"]["epsilon_pld"] == 1.2
    assert [row["epsilon"] for row in report["points"]] == [1.5, 2.5]
    assert "Each of the 2 points is charged" in report["choosing"]


class TreesSweep(PrivateSweep):
    training: ClassVar[dict[str, Any]] = {
        **PrivateSweep.training, "model": {"family": "xgboost", "max_depth": 2},
    }  # fmt: skip


def test_trees_are_charged_for_each_of_their_levels() -> None:
    """A report tells trees; a sweep of them costs what its jobs cost, level by level."""
    world = TreesSweep()
    report = drive(world, [])
    charged = SWEEP_ENGINE.charge(world.spec)
    assert [one.count for one in charged] == [1 + 2 * 3, 1 + 2 * 5]
    assert report["privacy"]["epsilon"] == pytest.approx(epsilon(charged, 1e-6), abs=2e-6)
    assert report["privacy"]["epsilon_pld"] == 1.2  # the whole plan


def test_a_point_that_failed_counts_with_all_its_rounds() -> None:
    world = PrivateSweep()
    world.fail = frozenset({2})
    report = drive(world, [])
    whole = epsilon(SWEEP_ENGINE.charge(world.spec), 1e-6)
    assert report["privacy"]["epsilon"] == pytest.approx(whole, abs=2e-6)
    assert report["privacy"]["epsilon_pld"] is None


def test_the_charge_of_a_sweep_is_that_of_its_jobs() -> None:
    spec = PrivateSweep().spec
    for part in spec.parts(JOB):
        learn(charge(part)[0], curve(charge(part)[0]))
    assert SWEEP_ENGINE.charge(spec) == tuple(m for one in spec.parts(JOB) for m in charge(one))
    assert SWEEP_ENGINE.charge(spec, {}) == ()


def test_it_is_told_why_the_sums_of_two_points_tell_nothing_of_one_party() -> None:
    """All points start from one model: of two sums over other parties the difference is one's."""
    every = SweepWorld(count=4).spec
    assert every.min_contributors == 4
    private = PrivateSweep(count=4).spec
    assert private.min_contributors == 3
    for spec, why in ((every, "every sum is over all parties"), (private, "are noised")):
        row = attacks(spec, "")[-1]
        assert "leaves a party out" in row["attack"]
        assert row["stopped"] == "yes"
        assert why in row["why"]
        assert chinese(row["attack"])
        assert chinese(row["why"])


def test_the_explanation_lists_every_point_and_what_it_cost() -> None:
    world = PrivateSweep()
    drive(world, [])
    points = [data for kind, data in world.told if kind == "point"]
    assert [one["state"] for one in points] == ["started", "succeeded"] * 2
    for count, states in ((0, ["planned"] * 2), (1, ["started", "planned"]),
                          (2, ["succeeded", "planned"]), (4, ["succeeded"] * 2)):  # fmt: skip
        found = SWEEP_ENGINE.explanation(
            world.spec, tee="", accounting=world.accounting, rounds=points[:count], dropouts=[]
        )
        assert [one["state"] for one in found["points"]] == states
        first = epsilon(SWEEP_ENGINE.charge(world.spec)[:1], 1e-6)
        spent = found["privacy"]["epsilon"]
        assert spent == pytest.approx({0: 0.0, 1: first, 2: first}.get(count, spent), abs=2e-6)


def test_folds_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a plan has folds, seeds stand in for them: the table knows one field by its name."""
    from secureflow.domain.specs import sweep as specs
    from secureflow.engines.sweep import table

    monkeypatch.setattr(table, "FOLD", "plan.seed")
    monkeypatch.setattr(specs, "FOLD", "plan.seed")

    class Folds(SweepWorld):
        points = tuple(
            {"plan.learning_rate": rate, "plan.seed": fold}
            for rate in (0.1, 0.2)
            for fold in (0, 1, 5)
        )

    report = drive(Folds(), [])
    (first, second) = report["folds"]
    losses = [row["metrics"]["loss"] for row in report["points"]]
    assert first["mean"] == pytest.approx(statistics.mean(losses[:3]))
    assert first["deviation"] == pytest.approx(statistics.stdev(losses[:3]))
    assert report["best"]["sets"] == {"plan.learning_rate": 0.2}
    assert report["best"]["value"] == second["mean"]
    world = Folds()
    world.fail = frozenset({5})  # of a setting that lacks a fold nobody says that it is the best
    assert drive(world, [])["best"]["sets"] == {"plan.learning_rate": 0.1}


def test_a_party_that_refuses_ends_the_sweep_before_any_job() -> None:
    world = SweepWorld()
    world.refuse["bank-b", "consent"] = SecureFlowError("consent_refused", "no")
    error = ended(world)
    assert error is not None
    assert world.ran == []
