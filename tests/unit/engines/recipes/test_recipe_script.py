"""The preparation script without a network: driven whole, crashed everywhere, parties gone."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from secureflow.engines.preparation.recipe import apply_recipe, read_recipe, recipe_digest
from secureflow.engines.recipes import plan
from secureflow.engines.recipes.plan import progress_after, totals_bytes
from secureflow.kit.errors import SecureFlowError
from tests.full import thinned
from tests.unit.engines.recipes.world import PreparationWorld
from tests.unit.engines.training.world import JOB, Crash, Journal, drive

SILENT = SecureFlowError("party_silent", "gone")


def told(report: dict[str, Any]) -> dict[str, Any]:
    """The report without the log's head, which holds the parties' fresh keys."""
    return {k: v for k, v in report.items() if k not in {"ledger", "history"}}


def pooled(world: PreparationWorld, but: str = "") -> np.ndarray:
    return np.concatenate([world.values(p)["age"] for p in world.keys if p != but])


def test_a_fit_is_that_of_all_rows_and_its_recipe_is_the_one_that_is_named() -> None:
    world = PreparationWorld(count=4)
    report = drive(world, [])
    ages = pooled(world)
    found = {(row["name"], row["column"]): row["fit"] for row in report["fitted"]}
    mean = np.nanmean(ages)
    assert found["impute", "age"]["value"] == pytest.approx(mean, abs=1e-6)
    filled = np.where(np.isnan(ages), mean, ages)
    assert found["standardise", "age"]["std"] == pytest.approx(filled.std(), abs=1e-5)
    assert found["one_hot", "job"] == {"kept": [0, 1], "merged": True}
    recipe = read_recipe(world.artifacts.blobs[report["recipe"]["digest"]])
    assert recipe_digest(recipe) == report["recipe"]["digest"]
    assert recipe.made == ("age", "job=a", "job=b", "job.other")
    assert (recipe.rows, recipe.private, recipe.spec) == (160.0, False, world.digest)
    first = {"age": np.array([30.0, np.nan]), "job": np.array(["c", None], object)}
    made = apply_recipe(recipe, first, strict=True)
    assert made["job.other"].tolist() == [1.0, 0.0]
    assert made["age"][1] == pytest.approx(0, abs=1e-6)


def test_the_centre_learns_each_round_once(monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[int] = []
    learning = plan.learn

    def learn(spec: Any, progress: Any, totals: Any) -> Any:
        learned.append(progress.rounds)
        return learning(spec, progress, totals)

    class Counted(PreparationWorld):
        def released(self, *asked: Any) -> dict[str, Any]:
            with monkeypatch.context() as patched:
                patched.setattr(plan, "learn", learn)
                return super().released(*asked)

    world = Counted(count=4)
    drive(world, [])
    assert learned == [0, 1]
    world.handler.forget(JOB)
    assert not world.handler._known


def test_the_sums_of_a_party_that_is_shown_other_totals_open_with_no_others() -> None:
    """Or a centre could ask one of them for counts in cells of its choice."""

    class Lying(PreparationWorld):
        def _one(self, party: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
            if (party, verb, body.get("round")) == ("bank-b", "mask", 2):
                totals = self.artifacts.blobs[body["model"]["artifact"]]
                other = totals[:-8] + bytes(8)
                model = {**body["model"], "digest": "f" * 64, "artifact": "f" * 64}
                self.artifacts.blobs["f" * 64] = other
                body = {**body, "model": model}
            return super()._one(party, verb, body)

    report = drive(Lying(count=4), [])
    assert report["survivors"] == ["bank-a", "bank-c", "bank-d"]
    assert [one["code"] for one in report["dropouts"]] == ["other_context"]
    with pytest.raises(SecureFlowError, match="masked under another context"):
        drive(Lying(count=3), [])


@pytest.mark.parametrize("die_at", thinned(range(0, 36, 3), 3, pytest.mark.full))
def test_a_crash_at_any_effect_changes_nothing(die_at: int) -> None:
    undisturbed = told(drive(PreparationWorld(count=4), []))
    world, journal = PreparationWorld(count=4), Journal()
    try:
        drive(world, journal, die_at)
    except Crash:
        pass
    else:
        pytest.skip("the script has fewer effects")
    assert told(drive(world, journal)) == undisturbed


def test_a_party_that_goes_after_the_first_round_leaves_the_rest_to_the_others() -> None:
    world = PreparationWorld(count=4)
    away: list[int] = []

    def leave(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if party == "bank-d" and verb == "answer":
            away.append(1)
            world.silent.add("bank-d")
        return reply

    world.liar = leave
    report = drive(world, [])
    assert away
    assert report["survivors"] == ["bank-a", "bank-b", "bank-c"]
    found = {(row["name"], row["column"]): row["fit"] for row in report["fitted"]}
    # The first round had everybody's rows, the second those of three.
    mean = np.nanmean(pooled(world))
    assert found["impute", "age"]["value"] == pytest.approx(mean, abs=1e-6)
    rest = pooled(world, but="bank-d")
    filled = np.where(np.isnan(rest), mean, rest)
    assert found["standardise", "age"]["mean"] == pytest.approx(filled.mean(), abs=1e-5)


def test_too_few_parties_end_it_by_name() -> None:
    world = PreparationWorld(count=4)
    world.refuse["bank-b", "mask"] = world.refuse["bank-c", "mask"] = SILENT
    with pytest.raises(SecureFlowError) as caught:
        drive(world, [])
    assert {"bank-b", "bank-c"} <= set(caught.value.details["parties"])


def test_noise_is_the_same_for_the_same_totals_and_costs_each_round() -> None:
    class Private(PreparationWorld):
        noise: ClassVar = {"delta": 1e-6, "noise_multiplier": 2.0}

    reports = [drive(Private(count=4), []) for _ in range(2)]
    assert reports[0]["fitted"] == reports[1]["fitted"]
    exact = drive(PreparationWorld(count=4), [])
    assert reports[0]["fitted"] != exact["fitted"]


@pytest.mark.parametrize("size", [8, 24, 10_000_000])
def test_totals_of_another_size_are_refused(size: int) -> None:
    spec = PreparationWorld(count=4).spec
    assert size != totals_bytes(spec, 1)
    with pytest.raises(SecureFlowError, match="totals_malformed"):
        progress_after(spec, bytes(size))
