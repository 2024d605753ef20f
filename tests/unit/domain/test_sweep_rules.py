"""What a sweep's spec may say: every point is the training with settings of it changed."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.ids import new_id, part_id
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.contributors import contributing, two_sum
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.partforms import Part
from secureflow.domain.specs.parts import setting, settings_of
from secureflow.domain.specs.sweep import SweepSpec, check_sweep, swept_problem
from secureflow.kit.errors import SecureFlowError

JOB = "job_1m8nje847evwjh6gfj1c"
PRIVACY = {"delta": 1e-6, "noise_multiplier": 4.0, "rows": 100}
COMMON = {"delta": 1e-6, "unit": "record", "noise": "enclave"}


def key(number: int) -> str:
    return base64.b64encode(bytes([number]) * 32).decode()


def head(parties: int = 3) -> dict[str, Any]:
    roster = [
        {"party": f"bank-{number}", "key": key(number), "dataset": "customers"}
        for number in range(parties)
    ]
    named = {"project": "prj_0123456789", "name": "rates", "purpose": "scoring"}
    return {**named, "submitter": "ann", "roster": roster}


def training(parties: int = 3, **changes: Any) -> dict[str, Any]:
    features = {
        "label": {"column": "income", "positive": "high"},
        "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
    }
    plan = {"rounds": 3, "draws": "words", "validation": 0.0}
    model = {"family": "mlp", "hidden": [8]}
    made = {**head(parties), "features": features, "plan": plan, "model": model}
    return {**made, "min_contributors": min(3, parties), **changes}


def sweep(points: Any = ({},), parties: int = 3, **changes: Any) -> SweepSpec:
    value = {**head(parties), "training": training(parties), "points": points, "kind": "sweep"}
    return parse(SweepSpec, {**value, **changes})


def problem(spec: SweepSpec) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        check_sweep(spec)
    assert caught.value.code == "contradictory_spec"
    return caught.value


def test_each_point_is_the_training_with_its_settings() -> None:
    spec = sweep(
        [
            {"plan.learning_rate": 0.5, "model.hidden": [4, 4]},
            {"limits.clip_norm": 2.0},
            {"plan.early_stop.patience": 5},
        ],
        training=training(plan={"rounds": 3, "draws": "words", "validation": 0.2}),
    )
    check_sweep(spec)
    first, second, third = spec.parts(JOB)
    assert (first.plan.learning_rate, first.model.hidden) == (0.5, (4, 4))  # type: ignore[union-attr]
    assert (second.plan.learning_rate, second.limits.clip_norm) == (0.1, 2.0)
    assert third.plan.early_stop is not None
    assert third.plan.early_stop.patience == 5
    assert [one.part_of for one in spec.parts(JOB)] == [Part(JOB, n) for n in (1, 2, 3)]
    assert [one.name for one in spec.parts(JOB)] == ["rates #1", "rates #2", "rates #3"]
    assert spec.planned_rounds == 9
    for one in spec.parts(JOB):
        assert replace(one, part_of=None).roster == spec.roster


def test_a_spec_is_read_back_as_it_was_signed() -> None:
    spec = sweep([{"plan.learning_rate": 1.0, "model.hidden": [4]}, {"plan.keep": "best"}])
    again = SPEC_KINDS.parse(dump(spec))
    assert spec_digest(again) == spec_digest(spec)
    assert [spec_digest(one) for one in again.parts(JOB)] == [
        spec_digest(one) for one in spec.parts(JOB)
    ]


def test_a_job_that_is_no_part_says_nothing_of_it() -> None:
    """Specs of jobs that exist keep their digest."""
    (one,) = sweep().trainings
    assert "part_of" not in dump(one)
    assert one.parts(JOB) == ()
    assert contributing(one) is one


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("plan.learning_rate", True),
        ("plan.seed", True),
        ("plan.early_stop.min_delta", True),
        ("model.l2", True),
        ("limits.clip_norm", True),
        ("privacy.noise_multiplier", True),
        ("privacy.epsilon", True),
        ("plan.validation", False),
        ("plan.draws", False),
        ("plan.order", False),
        ("plan.nothing", False),
        ("plan.split.by", False),
        ("model.family", False),
        ("model.bundle.digest", False),
        ("limits.patience_seconds", False),
        ("privacy.delta", False),
        ("privacy.unit", False),
        ("privacy.noise", False),
        ("privacy.rows", False),
        ("privacy.metrics_noise", False),
        ("features.label", False),
        ("roster.0", False),
        ("purpose", False),
        ("protection", False),
        ("min_contributors", False),
        ("part_of.job", False),
    ],
)
def test_what_points_may_set(name: str, allowed: bool) -> None:
    assert (swept_problem(name) is None) is allowed


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ([{}, {"features.label": None}], "points.2: features.label"),
        ([{}, {"plan.rounds": 0}], "points.2: plan.rounds"),
        ([{}, {"plan.learning_rate": 0.1}], "points.2: it is the same as point 1"),
        ([{"model.hidden": [4], "model.activation": "sine"}], "points.1: model"),
        ([{"privacy.epsilon": 1.0}], "points.1: privacy.delta"),
        ([{"plan.keep": "best"}], "points.1: plan.keep"),
        (
            [{"plan.early_stop": None, "plan.early_stop.patience": 3}],
            "points.1: plan.early_stop.patience: the point sets the whole of it as well",
        ),
        ([{"plan.early_stop.patience": 3, "plan.early_stop": None}], "plan.early_stop.patience"),
    ],
)
def test_a_point_that_contradicts_itself_is_named(points: Any, told: str) -> None:
    assert told in problem(sweep(points)).message


def test_a_misspelt_setting_is_told_with_the_one_that_may_be_meant() -> None:
    assert "plan.learning_rate" in problem(sweep([{"plan.lerning_rate": 0.1}])).hint
    assert "job file" in problem(sweep([{"plan.validation": 0.1}])).hint


def test_a_sweep_reads_the_key_if_its_jobs_do() -> None:
    plan = {"rounds": 2, "validation": 0.2, "split": {"by": "key"}}
    assert sweep(training=training(plan=plan)).splits_by_key
    assert not sweep().splits_by_key


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"training": training(purpose="advertising")}, "training"),
        ({"training": training(roster=head(4)["roster"])}, "training"),
        ({"training": training(part_of={"job": JOB, "number": 1})}, "training"),
        ({"privacy": COMMON}, "privacy"),
        ({"training": training(privacy=PRIVACY)}, "privacy"),
        ({"training": training(privacy=PRIVACY), "privacy": {**COMMON, "delta": 1e-5}}, "privacy"),
        ({"roster": head(1)["roster"]}, "roster"),
    ],
)
def test_a_sweep_that_contradicts_its_training_is_refused(
    changes: dict[str, Any], field: str
) -> None:
    assert problem(sweep(**changes)).details["field"] == field


def test_without_differential_privacy_every_sum_is_over_all_parties() -> None:
    """Points start alike, so a party that is missing in one of two sums is their difference."""
    error = problem(sweep(parties=4))
    assert error.details["field"] == "min_contributors"
    assert "privacy" in error.hint
    check_sweep(sweep(parties=4, training=training(4, min_contributors=4)))
    check_sweep(sweep(parties=4, training=training(4, privacy=PRIVACY), privacy=COMMON))


def test_its_name_leaves_room_for_numbers() -> None:
    name = "n" * 191
    spec = sweep(name=name, training=training(name=name))
    assert problem(spec).details["field"] == "name"
    name = "n" * 190
    check_sweep(sweep(name=name, training=training(name=name)))


def test_code_is_not_swept() -> None:
    bundle = {"digest": "ab" * 32, "entry": "own:Trainer", "environment": "cd" * 32}
    model = {
        "family": "bundle",
        "bundle": bundle,
        "weights": [{"name": "w", "shape": [2], "dtype": "float32"}],
    }
    assert problem(sweep(training=training(model=model))).details["field"] == "training.model"


def test_of_two_parties_each_computes_what_the_other_one_contributed() -> None:
    """The sweep contributes nothing itself: its jobs do, and an owner is warned of them."""
    assert two_sum(sweep(parties=2))
    assert not two_sum(sweep(parties=3))
    assert contributing(sweep()).protection == "sealed"


def test_the_ids_of_parts_follow_from_the_whole_and_sort_behind_it() -> None:
    job = new_id("job")
    parts = [part_id(job, number) for number in range(1, 65)]
    assert [job, *parts] == sorted([job, *parts])
    assert len(set(parts)) == 64
    assert parts == [part_id(job, number) for number in range(1, 65)]
    assert part_id(JOB, 1) != part_id(JOB[:-1] + "d", 1)
    assert part_id("job_1", 3).startswith("job_1")


def test_settings_are_written_without_hidden_characters() -> None:
    told = settings_of({"model.hidden": [4, 8], "plan.keep": None, "x": "a\u202eb", "y": True})
    assert told == "model.hidden = [4, 8], plan.keep = none, x = a\\u202eb, y = true"
    assert setting(0.1) == "0.1"


def test_it_says_that_its_jobs_hold_rows_out_by_key() -> None:
    plan = {"split": {"by": "key"}, "validation": 0.2, "draws": "words"}
    assert not sweep().splits_by_key
    assert sweep(training=training(plan=plan)).splits_by_key
