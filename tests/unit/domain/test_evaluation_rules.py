"""Contradictions of an evaluation's spec, its facts, and which rows a model has seen."""

from __future__ import annotations

from typing import Any

import pytest
from unit.engines.evaluation.world import FEATURES, MODELS, specified

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.bundles import bundle_facts
from secureflow.domain.specs.evaluation import EvaluationSpec, check_evaluation
from secureflow.domain.specs.heldout import HeldOut
from secureflow.domain.specs.training import TrainingPlan
from secureflow.kit.errors import SecureFlowError

KEYS = [f"{one}" * 44 for one in "abc"]
ROSTER = [
    {"party": f"bank-{n}", "key": key, "dataset": "d"} for n, key in zip("abc", KEYS, strict=True)
]
FIRST, SECOND = MODELS
PRIVATE = {"delta": 1e-6, "noise_multiplier": 2.0}
CLASSES = {**FEATURES, "label": {"column": "income", "classes": [str(n) for n in range(33)]}}
NUMBER = {**FEATURES, "label": {"column": "income", "bounds": [0, 10]}}


def baseline(**changes: Any) -> dict[str, Any]:
    return {"job": "job_cccccccccc", "model": FIRST["digest"], "counts": [1, 2], "edges": [0.0],
            **changes}  # fmt: skip


def changed(**changes: Any) -> dict[str, Any]:
    return {"models": [{**FIRST, **changes}]}


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"roster": ROSTER[:1]}, "roster", "fewer than 2"),
        ({"models": [FIRST, FIRST]}, "models.0.digest", "listed twice"),
        (changed(model={"family": "rehearsal", "parameters": 4}), "models.0.model", "rehearsal"),
        (changed(model={"family": "linear"}), "models.0.model.family", "the family linear"),
        (changed(features={**FEATURES, "numeric": []}), "models.0.features", "no feature"),
        (changed(features={**FEATURES, "label": None}, model={"family": "kmeans", "clusters": 3}),
         "models.0.features.label", "clusters"),
        (changed(features=CLASSES, model={"family": "softmax"}),
         "models.0.features.label", "more than 32 classes"),
        (changed(moments=[1.0, 2.0]), "models.0.moments", "only to them"),
        (changed(features={**FEATURES, "numeric": [{"column": "age", "bounds": [0, 9]}]}),
         "models.0.moments", "scaled by them"),
        (changed(features={**FEATURES, "numeric": [{"column": "age", "bounds": [0, 9]}]},
                 moments=[1.0, 2.0, 3.0]), "models.0.moments", "need 4 sums"),
        ({"models": [FIRST, {**SECOND, "features": NUMBER}]}, "models", "different labels"),
        ({"held_out": {}}, "held_out", "either by a share"),
        ({"held_out": {"share": 0.2, "folds": 5, "fold": 1}}, "held_out", "either by a share"),
        ({"held_out": {"share": 0.123}}, "held_out.share", "multiple of 1/100"),
        ({"held_out": {"folds": 5}}, "held_out.fold", "belong together"),
        ({"held_out": {"folds": 5, "fold": 5}}, "held_out.fold", "fewer folds"),
        (changed(held_out={"folds": 5, "fold": 7}), "models.0.held_out.fold", "fewer folds"),
        ({"baseline": [baseline(model="ef" * 32)]}, "baseline.0.model", "not evaluated here"),
        ({"baseline": [baseline(), baseline()]}, "baseline.0.model", "listed twice"),
        ({"baseline": [baseline(counts=[0, 0])]}, "baseline.0.counts", "no rows"),
        ({"baseline": [baseline(counts=[1e-320, 0])]}, "baseline.0.counts", "no rows"),
        ({"baseline": [baseline(counts=[1])]}, "baseline.0.counts", "do not fit"),
        ({"baseline": [baseline(edges=[2.0, 1.0], counts=[1, 1, 1])]},
         "baseline.0.counts", "do not fit"),
        ({**changed(features=NUMBER, model={"family": "linear"}), "costs": {}}, "costs", "two cl"),
        ({"costs": {"false_positive": 0, "false_negative": 0}}, "costs", "nothing costs"),
        ({"contributions": 2}, "contributions", "without privacy every row counts"),
        ({"privacy": {**PRIVATE, "unit": "party"}}, "privacy.unit", "not a whole party"),
        ({"privacy": {"delta": 1e-6}}, "privacy.noise_multiplier", "neither given nor"),
        ({"privacy": {**PRIVATE, "noise_multiplier": 1001.0}}, "privacy.noise_multiplier", "only"),
    ],
)  # fmt: skip
def test_a_contradiction_is_named(changes: dict[str, Any], field: str, reason: str) -> None:
    roster = changes.pop("roster", ROSTER)
    with pytest.raises(SecureFlowError) as caught:
        specified(roster, **changes)
    assert caught.value.code == "contradictory_spec"
    assert caught.value.details["field"] == field
    assert reason in caught.value.message


@pytest.mark.parametrize(
    "groups",
    [
        {"counts": []}, {"counts": [1.0] * 65, "edges": [*range(64)]}, {"counts": [1, -1]},
        {"counts": [1, float("nan")]}, {"counts": None}, {"counts": 3}, {"edges": None},
        {"counts": [1, 2], "edges": []}, {"counts": [1, 2], "edges": [0.0, 1.0]},
        {"counts": [1, 2, 3], "edges": [1.0, 1.0]}, {"counts": [1, 2], "edges": ["a"]},
        {"counts": [1, 2], "edges": [float("inf")]}, {"counts": [1, 2], "edges": [float("nan")]},
    ],
)  # fmt: skip
def test_what_is_no_baseline_is_refused(groups: dict[str, Any]) -> None:
    assert specified(ROSTER, baseline=[baseline()]).baseline
    with pytest.raises(SecureFlowError) as caught:
        specified(ROSTER, baseline=[baseline(**groups)])
    assert "baseline.0." in caught.value.message


def test_classes_have_a_baseline_of_their_own_number_of_counts() -> None:
    label = {"column": "income", "classes": ["a", "b", "c"]}
    softmax = changed(features={**FEATURES, "label": label}, model={"family": "softmax"})
    assert specified(ROSTER, **softmax, baseline=[baseline(counts=[1, 2, 0], edges=[])]).baseline
    for groups in ({"counts": [1, 2], "edges": []}, {"counts": [1, 2, 0], "edges": [0.0, 1.0]}):
        with pytest.raises(SecureFlowError, match="do not fit"):
            specified(ROSTER, **softmax, baseline=[baseline(**groups)])


def test_totals_of_several_models_are_over_all_parties_or_noised() -> None:
    """Of two totals of the same rows, one without a party, the difference is that party's."""
    four = [*ROSTER, {"party": "bank-d", "key": "d" * 44, "dataset": "d"}]
    for changes in ({"models": [FIRST]}, {"privacy": PRIVATE}, {"min_contributors": 4}):
        check_evaluation(parse(EvaluationSpec, dump(specified(four, **changes))))
    for changes in ({}, {"per_party": True}):
        with pytest.raises(SecureFlowError) as caught:
            check_evaluation(specified(four, **changes))
        assert caught.value.code == "contradictory_spec"
        assert caught.value.details["field"] == "min_contributors"


def test_a_spec_says_what_it_reads_and_what_policies_see() -> None:
    spec = specified(ROSTER, per_party=True)
    assert spec.column_names == ("age", "income")
    assert spec.bounds == ()
    assert (spec.planned_rounds, spec.parameters, spec.tells_rows) == (2, 0, True)
    assert spec.facts() == {
        "models": ("ab" * 32, "cd" * 32),
        "families": ("logistic_regression", "mlp"),
        "per_party": 1,
        "contributions": 1,
        **bundle_facts(None, "ann", {}, "", 0.0),
    }
    assert parse(EvaluationSpec, dump(spec)) == spec
    number = specified(ROSTER, **changed(features=NUMBER, model={"family": "linear"}))
    assert number.bounds == (("income", (0.0, 10.0)),)


def test_rows_count_as_seen_unless_their_keys_were_held_out() -> None:
    share, more = HeldOut(share=0.2), HeldOut(share=0.3)
    plain = specified(ROSTER).models[0]
    kept = specified(ROSTER, **changed(held_out=dump(more))).models[0]
    names = ("bank-a", "bank-c")
    assert plain.seen(names, None) == plain.seen(names, share) == ("bank-a",)
    assert kept.seen(names, None) == ("bank-a",)
    assert kept.seen(names, share) == ()  # what .2 holds out, .3 holds out as well
    assert kept.seen(names, HeldOut(share=0.5)) == ("bank-a",)
    assert kept.seen(names, HeldOut(folds=2, fold=1)) == ("bank-a",)


def test_a_plan_tells_what_it_held_out() -> None:
    assert HeldOut.of_split(None, 0.1) is None
    split = parse(TrainingPlan, {"split": {"by": "key"}, "validation": 0.2})
    assert HeldOut.of_split(split.split, split.validation) == HeldOut(share=0.2)
    folds = parse(TrainingPlan, {"split": {"by": "key", "folds": 5, "fold": 2}})
    assert HeldOut.of_split(folds.split, folds.validation) == HeldOut(folds=5, fold=2)
    assert HeldOut(folds=3, fold=2).places == frozenset(range(67, 100))


def test_a_baseline_counts_no_more_rows_than_reports_can_tell() -> None:
    with pytest.raises(SecureFlowError, match=r"baseline\.0\.counts\.0") as caught:
        specified(ROSTER, baseline=[baseline(counts=[1e15, 0])])
    assert caught.value.code == "invalid_spec"
