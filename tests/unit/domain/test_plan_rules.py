"""What a plan may hold out, and choose by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.specs.base import RosterEntry, dump, parse, spec_digest
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.targets import ClassesLabel, NumberLabel
from secureflow.domain.specs.training import (
    FeatureSpec,
    Label,
    ModelSpec,
    NumericFeature,
    TrainingPlan,
    TrainingSpec,
)
from secureflow.domain.specs.training_rules import check
from secureflow.kit.errors import SecureFlowError

SPEC = TrainingSpec(
    project="prj_0000000000",
    name="t",
    purpose="t",
    submitter="t",
    roster=tuple(RosterEntry(f"bank-{n}", f"{n}" * 44, "clients") for n in "abc"),
    features=FeatureSpec(Label("y", "1"), (NumericFeature("x", (0.0, 1.0), "bounds"),)),
)


def planned(spec: TrainingSpec = SPEC, **plan: Any) -> TrainingSpec:
    return replace(spec, plan=parse(TrainingPlan, plan, "spec"))


def refused(spec: TrainingSpec) -> str:
    with pytest.raises(SecureFlowError) as error:
        check(spec)
    assert error.value.code == "contradictory_spec"
    assert error.value.hint
    return str(error.value.message)


@pytest.mark.parametrize(
    "plan",
    [
        {"validation": 0.2, "split": {"by": "key"}},
        {"split": {"by": "key", "folds": 5, "fold": 0}},
        {"split": {"by": "key", "folds": 20, "fold": 19}},
        {"early_stop": {"patience": 2}, "metric": "auc"},
        {"keep": "best", "metric": "accuracy"},
    ],
)
def test_a_plan_can_say(plan: dict[str, Any]) -> None:
    check(planned(**plan))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"validation": 0.105, "split": {"by": "key"}}, "plan.validation: keys are held out in"),
        ({"validation": 0.0, "split": {"by": "key"}}, "plan.split: no share of the keys"),
        ({"split": {"by": "key", "folds": 5}}, "plan.split.fold: none of the folds"),
        ({"split": {"by": "key", "fold": 1}}, "plan.split.folds: it does not say how many"),
        ({"split": {"by": "key", "folds": 5, "fold": 5}}, "there is no fold 5: 5 folds are"),
        ({"validation": 0.0, "split": {"by": "key", "folds": 5, "fold": 1}}, "plan.validation: it"),
        ({"metric": "auc"}, "plan.metric: nothing chooses by it"),
        ({"metric": "r2", "keep": "best"}, "plan.metric: the job's rounds are not measured by r2"),
        ({"metric": "macro_f1", "early_stop": {}}, "not measured by macro_f1"),
    ],
)
def test_a_plan_cannot_say(plan: dict[str, Any], said: str) -> None:
    assert said in refused(planned(**plan))


def test_a_metric_follows_from_the_label() -> None:
    number = replace(SPEC, model=ModelSpec("linear"), features=replace(
        SPEC.features, label=NumberLabel("y", (0.0, 9.0))))  # type: ignore[type-var]  # fmt: skip
    check(planned(number, keep="best", metric="rmse"))
    assert "not measured by auc" in refused(planned(number, keep="best", metric="auc"))
    many = tuple(f"c{at}" for at in range(33))
    softmax = replace(SPEC, model=ModelSpec("softmax"), features=replace(
        SPEC.features, label=ClassesLabel("y", many)))  # type: ignore[type-var]  # fmt: skip
    check(planned(softmax, keep="best", metric="balanced_accuracy"))
    assert "not measured by macro_f1" in refused(planned(softmax, keep="best", metric="macro_f1"))


def test_a_rehearsal_holds_nothing_out_and_measures_nothing() -> None:
    rehearsal = replace(SPEC, features=None, model=ModelSpec("rehearsal", 0.0, 4))
    assert "plan.split" in refused(planned(rehearsal, split={"by": "key"}))
    assert "plan.metric" in refused(planned(rehearsal, keep="best", metric="loss"))


def test_with_privacy_keys_hold_rows_out_and_no_figure_chooses() -> None:
    privacy = parse(Privacy, {
        "unit": "record", "mechanism": "dp-sgd", "noise": "enclave", "clipping_norm": 1.0,
        "delta": 1e-6, "rows": 1000, "noise_multiplier": 1.0, "metrics_noise": 10.0,
    }, "spec")  # fmt: skip
    private = replace(SPEC, privacy=privacy)
    check(planned(private, split={"by": "key"}))
    said = refused(planned(private, split={"by": "key"}, keep="best", metric="auc"))
    assert "without noise" in said


def test_specs_without_them_keep_their_digest() -> None:
    plan = dump(TrainingPlan())
    assert not {"split", "metric"} & plan.keys()
    assert "folds" not in dump(planned(split={"by": "key"}).plan)["split"]
    spec = planned(split={"by": "key", "folds": 4, "fold": 2})
    assert spec_digest(parse(TrainingSpec, dump(spec), "spec", stored=True)) == spec_digest(spec)


@pytest.mark.parametrize("split", [{}, {"by": "row"}, {"by": "key", "folds": 1, "fold": 0},
                                   {"by": "key", "folds": 21, "fold": 0},
                                   {"by": "key", "folds": 5, "fold": -1}])  # fmt: skip
def test_what_is_no_split_is_refused_by_its_form(split: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError):
        planned(split=split)
