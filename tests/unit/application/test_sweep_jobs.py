"""A sweep as the centre drafts it: points listed, checked and priced before anybody is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.jobs.kind import Wanted
from secureflow.application.jobs.sweep import _asked, _in_folds
from secureflow.application.running.partjobs import PART
from secureflow.application.uploads import _initial_of
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.sweep import SweepSpec
from secureflow.domain.specs.sweep_request import SweepPart, points_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.sweep.kind import SWEEP_ENGINE
from secureflow.kit.errors import SecureFlowError
from tests.stage import FEATURES, Stage

GRID = {"grid": {"plan.learning_rate": [0.1, 0.3], "plan.rounds": [2, 4]}}


def wanted(stage: Stage, sweep: Any = GRID, **parts: Any) -> Wanted:
    asked = stage.wanted()
    return replace(
        asked, kind="sweep", name="rates", parts={**asked.parts, **parts, "sweep": sweep}
    )


async def spec_of(stage: Stage, sweep: Any = GRID, **parts: Any) -> Any:
    asked = wanted(stage, sweep, **parts)
    return await stage.services.jobs.dry_run(stage.scientist("bank-a"), asked)


async def refuse(stage: Stage, code: str, sweep: Any, **parts: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await spec_of(stage, sweep, **parts)
    assert caught.value.code == code, caught.value
    assert caught.value.hint
    return caught.value


async def test_a_grid_is_every_combination_in_order(stage: Stage) -> None:
    told = await spec_of(stage)
    assert told.spec["points"] == [
        {"plan.learning_rate": rate, "plan.rounds": rounds}
        for rate in (0.1, 0.3)
        for rounds in (2, 4)
    ]
    assert told.spec["metric"] == {"name": "loss", "better": "lower"}
    spec = parse(SweepSpec, told.spec)
    assert [one.name for one in spec.trainings] == [f"rates #{n}" for n in (1, 2, 3, 4)]
    assert told.details["rounds"] == 12
    assert [one["rounds"] for one in told.details["points"]] == [2, 4, 2, 4]
    assert any("One approval covers 4 jobs with 12 rounds" in note for note in told.notes)
    assert any("was chosen on the rows that measured it" in note for note in told.notes)


async def test_what_is_random_is_drawn_when_it_is_drafted_and_the_same_again(stage: Stage) -> None:
    over = {"plan.learning_rate": {"log": [0.001, 1]}, "plan.rounds": {"whole": [1, 9]},
            "model.l2": {"between": [0.0, 0.5]}, "plan.seed": {"among": [3, 4]}}  # fmt: skip
    asked = {"random": {"count": 20, "over": over, "seed": 5}}
    first, again = await spec_of(stage, asked), await spec_of(stage, asked)
    assert first.digest == again.digest
    points = first.spec["points"]
    assert len(points) == 20
    for point in points:
        assert 0.001 <= point["plan.learning_rate"] <= 1
        assert 1 <= point["plan.rounds"] <= 9
        assert 0 <= point["model.l2"] <= 0.5
        assert point["plan.seed"] in (3, 4)
    assert sum(point["plan.learning_rate"] < 0.03 for point in points) >= 4
    other = await spec_of(stage, {"random": {**asked["random"], "seed": 6}})
    assert other.digest != first.digest


async def test_points_that_are_drawn_are_different_ones(stage: Stage) -> None:
    """Of few values the same ones are drawn again soon: each point is listed once."""
    over: dict[str, Any] = {"plan.rounds": {"whole": [1, 9]}}
    told = await spec_of(stage, {"random": {"count": 9, "over": over}})
    assert sorted(one["plan.rounds"] for one in told.spec["points"]) == list(range(1, 10))
    over["plan.rounds"] = {"among": [2, 2.0, 3]}
    error = await refuse(stage, "contradictory_spec", {"random": {"count": 3, "over": over}})
    assert "sweep.random.over: there are no 3 different points" in error.message


@pytest.mark.parametrize(
    ("sweep", "told"),
    [
        ({}, "names its points in no way"),
        ({"grid": {"plan.seed": [1]}, "list": [{"plan.seed": 2}]}, "or in several"),
        ({"grid": {"plan.seed": list(range(60)), "plan.rounds": [1, 2]}}, "120 points"),
        ({"list": [{"purpose.x": "y"}]}, "points.1: purpose.x"),
        ({"list": [{}, {"plan.validation": 0.5}]}, "points.2: plan.validation"),
        ({"list": [{}, {"plan.learning_rate": -1}]}, "points.2: plan.learning_rate"),
        ({"list": [{"plan.rounds": 3}, {"plan.rounds": 3}]}, "the same as point 1"),
        ({"random": {"count": 2, "over": {"plan.seed": {}}}}, "sweep.random.over.plan.seed"),
        ({"random": {"count": 2, "over": {"plan.seed": {"log": [0, 1]}}}}, "above 0"),
        ({**GRID, "metric": "mse"}, "not mse"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_what_is_no_sweep_is_refused_by_name(
    stage: Stage, sweep: dict[str, Any], told: str
) -> None:
    assert told in (await refuse(stage, "contradictory_spec", sweep)).message


async def test_without_differential_privacy_every_sum_is_over_all_parties(stage: Stage) -> None:
    asked = replace(wanted(stage), datasets=("a", "b", "c", "d", "e"))
    assert _asked(asked)[1]["min_contributors"] == 5
    alone = {**asked.parts, "parties": ("bank-a", "bank-b")}
    assert _asked(replace(asked, datasets=(), parts=alone))[1]["min_contributors"] == 2
    fewer = replace(asked, parts={**asked.parts, "min_contributors": 4})
    assert _asked(fewer)[1]["min_contributors"] == 4  # the spec is refused by name
    private = replace(asked, parts={**asked.parts, "privacy": {"delta": 1e-6, "epsilon": 2.0}})
    assert "min_contributors" not in _asked(private)[1]
    told = await spec_of(stage)
    assert told.spec["training"]["min_contributors"] == 3


async def test_a_metric_and_its_direction_may_be_named(stage: Stage) -> None:
    told = await spec_of(stage, {**GRID, "metric": "auc"})
    assert told.spec["metric"] == {"name": "auc", "better": "higher"}
    told = await spec_of(stage, {**GRID, "metric": "auc", "better": "lower"})
    assert told.spec["metric"] == {"name": "auc", "better": "lower"}


async def test_without_a_figure_no_point_is_called_the_best(stage: Stage) -> None:
    plan = {"rounds": 2, "validation": 0.0}
    told = await spec_of(stage, {"grid": {"plan.learning_rate": [0.1, 0.3]}}, plan=plan)
    assert told.spec["metric"] is None
    assert any("no point is called the best" in note for note in told.notes)
    error = await refuse(stage, "contradictory_spec", {**GRID, "metric": "loss"}, plan=plan)
    assert "no figure" in error.message


NUMERIC = [{**column, "scale": "bounds"} for column in FEATURES["numeric"]]  # type: ignore[attr-defined]
PRIVATE: dict[str, Any] = {
    "features": {**FEATURES, "numeric": NUMERIC},
    "privacy": {"delta": 1e-6, "epsilon": 2.0, "rows": 20_000, "metrics_noise": 20.0},
}


async def test_each_point_is_calibrated_and_the_whole_is_told(stage: Stage) -> None:
    told = await spec_of(stage, **PRIVATE)
    spec = parse(SweepSpec, told.spec)
    multipliers = [one.privacy.multiplier for one in spec.trainings if one.privacy]
    assert multipliers[0] == multipliers[2] < multipliers[1] == multipliers[3]
    privacy = told.details["privacy"]
    assert 2.0 < privacy["epsilon"]["rdp-cks20"] < 8.0
    assert privacy["releases"] == 12
    assert spec.privacy is not None
    assert dump(spec.privacy) == {
        "delta": 1e-6, "unit": "record", "noise": "enclave", "epsilon": None,
    }  # fmt: skip
    assert len(SWEEP_ENGINE.charge(spec)) == 8
    assert any("Each of the 4 points is charged" in note for note in told.notes)


@pytest.mark.parametrize(
    "sets",
    [
        pytest.param("privacy.sampling", marks=pytest.mark.full),
        "privacy.clipping_norm",
        "privacy.epsilon",
    ],
)
async def test_a_point_has_nothing_of_another_points_privacy(stage: Stage, sets: str) -> None:
    """What the first one sets is its own: the others have what the training has."""
    sampling = 0.01 if sets == "privacy.sampling" else 1.0  # which is calibrated in no time
    own = {**PRIVATE["privacy"], "sampling": sampling, "clipping_norm": 2.0}
    points = [{sets: 0.5}, {}, {"plan.rounds": 3}]
    told = await spec_of(stage, {"list": points}, **{**PRIVATE, "privacy": own})
    first, *others = parse(SweepSpec, told.spec).trainings
    name = sets.partition(".")[2]
    assert getattr(first.privacy, name) == 0.5
    for one in others:
        assert one.privacy is not None
        found = one.privacy.sampling, one.privacy.clipping_norm, one.privacy.epsilon
        assert found == (sampling, 2.0, 2.0)
    alone = await stage.services.jobs.dry_run(
        stage.scientist("bank-a"),
        replace(stage.wanted(), parts={**stage.wanted().parts, **PRIVATE, "privacy": own}),
    )
    assert others[0].privacy == parse(TrainingSpec, alone.spec).privacy


@pytest.mark.parametrize(
    ("point", "told", "hint"),
    [
        ({"plan.learningrate": 0.1}, "points.2: plan.learningrate", "plan.learning_rate"),
        ({"privacy.clippingnorm": 1.0}, "points.2: privacy.clippingnorm", "privacy.clipping_norm"),
        ({"plan.learning_rate": -1}, "points.2: plan.learning_rate", ""),
        ({"privacy.epsilon": "much"}, "points.2: privacy.epsilon", ""),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_a_wrong_point_is_told_as_it_is_with_and_without_privacy(
    stage: Stage, point: dict[str, Any], told: str, hint: str
) -> None:
    sweep = {"list": [{"plan.rounds": 2}, point]}
    private = await refuse(stage, "contradictory_spec", sweep, **PRIVATE)
    assert told in private.message
    assert hint in private.hint
    if not told.endswith("epsilon"):
        plain = await refuse(stage, "contradictory_spec", sweep)
        assert (plain.message, plain.hint) == (private.message, private.hint)


async def test_a_wrong_part_of_the_training_itself_is_not_a_points(stage: Stage) -> None:
    wrong = {**PRIVATE["privacy"], "epsilon": "much"}
    error = await refuse(stage, "invalid_spec", GRID, **{**PRIVATE, "privacy": wrong})
    assert "points" not in error.message


async def test_the_whole_may_have_a_ceiling(stage: Stage) -> None:
    error = await refuse(stage, "contradictory_spec", {**GRID, "epsilon": 2.5}, **PRIVATE)
    assert "together, more than 2.5" in error.message
    told = await spec_of(stage, {**GRID, "epsilon": 9.0}, **PRIVATE)
    assert told.spec["privacy"]["epsilon"] == 9.0


async def test_too_many_costs_to_compute_are_refused(stage: Stage) -> None:
    many = {"grid": {"plan.rounds": list(range(1, 20))}}
    error = await refuse(stage, "contradictory_spec", many, **PRIVATE)
    assert "19 different costs" in error.message


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({}, "does not split the rows"),
        ({"split": {"by": "key", "folds": 4}}, "the plan has 4 folds"),
    ],
)
async def test_folds_are_those_of_the_plan(stage: Stage, plan: dict[str, Any], told: str) -> None:
    error = await refuse(stage, "contradictory_spec", {"folds": 5}, plan=plan)
    assert told in error.message


def test_a_cross_validation_goes_through_every_fold() -> None:
    part = parse(SweepPart, {"folds": 3, "grid": {"plan.seed": [1, 2]}})
    assert points_of(part) == tuple(
        {"plan.seed": seed, "plan.split.fold": fold} for seed in (1, 2) for fold in (0, 1, 2)
    )
    assert points_of(parse(SweepPart, {"folds": 2})) == (
        {"plan.split.fold": 0}, {"plan.split.fold": 1},
    )  # fmt: skip
    planned = _in_folds(3, {"plan": {"rounds": 2, "split": {"by": "key"}}})
    assert planned == {"rounds": 2, "split": {"by": "key", "folds": 3, "fold": 0}}


async def test_code_is_not_swept(stage: Stage) -> None:
    error = await refuse(stage, "contradictory_spec", {"list": [{"model.bundle": "x"}, {}]})
    assert "points.1: model.bundle" in error.message


async def test_a_submitted_sweep_keeps_every_quote_for_its_jobs(stage: Stage) -> None:
    job = await stage.services.jobs.submit(stage.scientist("bank-a"), wanted(stage, **PRIVATE))
    accounting = job.progress["accounting"]
    assert accounting["points"] == [0, 1, 0, 1]
    assert len(accounting["quotes"]) == 2
    assert all("curve" in one for one in accounting["quotes"])
    assert job.kind == "sweep"


async def test_there_must_be_room_for_the_models_of_every_point(stage: Stage) -> None:
    asked: list[int] = []
    stage.services.jobs._room = asked.append
    await spec_of(stage, {"list": [{"plan.rounds": 2}]})
    await spec_of(stage)
    assert asked[0] > 0
    assert asked[1] == 6 * asked[0]


async def test_who_waits_in_the_job_that_runs_is_told_of_the_sweep(stage: Stage) -> None:
    jobs, scientist = stage.services.jobs, stage.scientist("bank-a")
    job = await jobs.submit(scientist, wanted(stage))
    part = part_id(job.id, 1)
    waits = [{"party": "bank-b", "code": "disk_full"}]
    jobs._waits = lambda key: waits if key == part else []
    assert "waiting" not in (await jobs.get(scientist, job.id)).progress
    async with stage.database.begin() as work:
        await work.jobs.save(replace(job, progress={**job.progress, PART: part}))
        await work.commit()
    assert (await jobs.get(scientist, job.id)).progress["waiting"] == waits


def test_weights_that_a_sweep_starts_from_are_kept_for_it() -> None:
    named = {"model": "ab" * 32, "layout": "cd" * 32}
    assert _initial_of({"training": {"initial": named}}) == "ab" * 32
    assert _initial_of({"initial": named}) == "ab" * 32
    assert _initial_of({"training": {}}) is None
