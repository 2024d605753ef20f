"""Contradictions of a prediction's spec, what it reads, its facts, and its request."""

from __future__ import annotations

from typing import Any

import pytest
from unit.engines.prediction.world import FEATURES, MODEL, specified

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.bundles import bundle_facts
from secureflow.domain.specs.contributors import two_sum
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.prediction import PredictionSpec, usual_outputs
from secureflow.domain.specs.prediction_request import PredictionRequest
from secureflow.domain.specs.request import parts_of
from secureflow.kit.errors import SecureFlowError

ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abc"]
NUMBER = {**FEATURES, "label": {"column": "income", "bounds": [0, 10]}}
CLASSES = {**FEATURES, "label": {"column": "income", "classes": ["low", "high"]}}
CLUSTERS = {**FEATURES, "label": None}


def changed(**changes: Any) -> dict[str, Any]:
    return {"model": {**MODEL, **changes}}


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"roster": ROSTER[:1]}, "roster", "fewer than 2"),
        (changed(model={"family": "linear"}), "model.model.family", "the family linear"),
        (changed(features={**FEATURES, "numeric": []}), "model.features", "no feature"),
        (changed(moments=[1.0, 2.0]), "model.moments", "only to them"),
        ({"outputs": ["predicted", "predicted"]}, "outputs", "listed twice"),
        ({**changed(features=NUMBER, model={"family": "linear"}), "outputs": ["probability"]},
         "outputs", "no probability"),
        ({**changed(features=CLUSTERS, model={"family": "kmeans", "clusters": 3}),
          "outputs": ["score"]}, "outputs", "clusters have no score"),
        ({"columns": ["id", "id"]}, "columns", "listed twice"),
        ({"columns": ["row"]}, "columns", "called 'row' already"),
        ({"columns": ["predicted"]}, "columns", "called 'predicted' already"),
        ({"columns": ["income"]}, "columns", "is not read"),
        ({"deliver": {"to": "bank-x"}}, "deliver.to", "bank-x is not on the roster"),
    ],
)  # fmt: skip
def test_a_contradiction_is_refused_by_name(
    changes: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        specified(**{"roster": ROSTER, **changes})
    assert caught.value.code == "contradictory_spec"
    assert caught.value.details["field"].startswith(field)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("changes", "titles"),
    [
        ({}, ("predicted",)),
        ({"outputs": ["score", "predicted", "probability"]},
         ("predicted", "P(income=>50K)", "score")),
        ({**changed(features=CLASSES, model={"family": "softmax"}),
          "outputs": ["probability", "score"]},
         ("P(income=low)", "P(income=high)", "score(income=low)", "score(income=high)")),
    ],
)  # fmt: skip
def test_titles_are_those_of_the_models_answers(
    changes: dict[str, Any], titles: tuple[str, ...]
) -> None:
    assert specified(ROSTER, **changes).titles == titles


def test_the_label_is_not_read_and_nothing_is_released() -> None:
    weighted = {**FEATURES, "weight": {"column": "counts", "bounds": [0, 2]}}
    spec = specified(ROSTER, columns=["id", "age"], **changed(features=weighted))
    assert spec.column_names == ("age", "id")
    assert spec.reads.features == spec.features
    assert (spec.privacy, spec.tells_rows, two_sum(specified(ROSTER[:2], min_contributors=2))) == (
        None, False, False,
    )  # fmt: skip
    assert spec.facts() == {
        "model": MODEL["digest"],
        "family": "logistic_regression",
        "outputs": ("predicted",),
        "beside": ("age", "id"),
        "deliver": "",
        **bundle_facts(None, "ann", {}, "", 0.0),
    }
    assert set(spec.facts()) == set(SPEC_KINDS["prediction"].facts)


def test_a_delivery_is_a_fact_and_a_spec_without_one_does_not_name_it() -> None:
    spec = specified(ROSTER, deliver={"to": "bank-b"})
    assert spec.facts()["deliver"] == "bank-b"
    assert (spec.all_private, spec.tells_rows) == (False, True)
    assert parse(PredictionSpec, dump(spec)) == spec
    assert "deliver" not in dump(specified(ROSTER))


def test_a_spec_is_the_same_after_its_json() -> None:
    spec = specified(ROSTER, columns=["id"], outputs=["score"])
    assert parse(PredictionSpec, dump(spec)) == spec
    assert SPEC_KINDS.parse(dump(spec)) == spec


def test_what_is_kept_by_default_follows_from_the_model() -> None:
    assert usual_outputs(specified(ROSTER).model) == ("predicted", "probability")
    number = specified(ROSTER, **changed(features=NUMBER, model={"family": "linear"}))
    assert usual_outputs(number.model) == ("predicted",)


def test_a_request_leaves_open_what_it_does_not_say() -> None:
    asked = {"project": "p", "name": "n", "purpose": "q", "datasets": ["a"], "model": "mdl_1"}
    assert parts_of(parse(PredictionRequest, {**asked, "kind": "prediction"})) == {"model": "mdl_1"}
    with pytest.raises(SecureFlowError, match="outputs"):
        parse(PredictionRequest, {**asked, "outputs": ["label"]})
