"""A job that applies a model of a bundle: what it must say, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest
from peers.scored_jobs import LABELS, ROSTER, scored
from unit.engines.evaluation.world import MODELS
from unit.engines.evaluation.world import specified as evaluated
from unit.engines.prediction.world import specified as predicted

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.bundles import (
    BUNDLE_FACTS,
    applies,
    brought,
    given_beside_settings,
)
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_bundle_consent import part

PRIVATE = {"delta": 1e-6, "noise_multiplier": 2.0}
OWN = {**MODELS[0], "features": {**scored()["features"]}}
IMAGE = [{"column": "labels", "shape": [4, 4, 1]}]


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"privacy": PRIVATE}, "privacy", "one row moves its sums without bound"),
        ({"models": [scored(), OWN]}, "models", "evaluated alone"),
        ({"models": [OWN, scored()]}, "models", "evaluated alone"),
        ({"models": [scored(), scored(digest="12" * 32)]}, "models", "evaluated alone"),
        ({"models": [scored(seed=None)]}, "models.0.seed", "is made with one"),
        ({"models": [{**OWN, "seed": 7}]}, "models.0.seed", "only a class of code"),
    ],
)
def test_a_contradiction_of_an_evaluation_is_named(
    changes: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(SecureFlowError, match=reason) as caught:
        evaluated(ROSTER, **{"models": [scored()], **changes})
    assert (caught.value.code, caught.value.details["field"]) == ("contradictory_spec", field)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("model", "field", "reason"),
    [
        (scored(seed=None), "model.seed", "is made with one"),
        (scored(features={**scored()["features"], "label": None}), "model.features.label",
         "learned from no label"),
        (scored(features={**scored()["features"], "images": IMAGE}), "model.features.labels",
         "something else named labels"),
    ],
)  # fmt: skip
def test_a_contradiction_of_a_prediction_is_named(
    model: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(SecureFlowError, match=reason) as caught:
        predicted(ROSTER, model=model)
    assert (caught.value.code, caught.value.details["field"]) == ("contradictory_spec", field)


@pytest.mark.parametrize("form", sorted(LABELS))
def test_everything_else_is_as_of_other_families(form: str) -> None:
    costs = {"costs": {"false_negative": 5}} if form == "binary" else {}
    spec = evaluated(
        ROSTER, models=[scored(form)], per_party=True, held_out={"share": 0.2}, **costs
    )
    assert parse(EvaluationSpec, dump(spec)) == spec
    assert (spec.bundle, spec.planned_rounds) == (spec.models[0].bundle, 1)
    wanted = ["predicted", "score"] if form == "number" else ["predicted", "probability", "score"]
    applied = predicted(ROSTER, model=scored(form), outputs=wanted, deliver={"to": "bank-b"})
    assert parse(PredictionSpec, dump(applied)) == applied
    assert applied.bundle is not None


def test_policies_see_the_code_and_what_it_is_given() -> None:
    for spec in (evaluated(ROSTER, models=[scored()]), predicted(ROSTER, model=scored())):
        facts = spec.facts()
        assert set(facts) == set(SPEC_KINDS[spec.kind].facts) >= set(BUNDLE_FACTS)
        assert {name: facts[name] for name in BUNDLE_FACTS} == {
            "bundle_digest": "ab" * 32,
            "bundle_entry": "model:Model",
            "environment": "cd" * 32,
            "settings_digest": digest({"k": 2}),
            "starts_from": "ef" * 32,
            "clip_norm": 0.0,
            "submitter": "ann",
        }


def test_the_code_of_a_stored_job_is_found_wherever_it_stands() -> None:
    applied = (
        dump(evaluated(ROSTER, models=[scored()])),
        dump(predicted(ROSTER, model=scored())),
    )
    for spec in applied:
        assert brought(spec)["bundle"]["digest"] == "ab" * 32
        assert applies(spec)
        assert given_beside_settings(spec) == {
            "model.bundle.entry": "model:Model",
            "model.bundle.environment": "cd" * 32,
            "plan.seed": 5,
            "model.digest": "ef" * 32,
        }
    trains = part()
    assert brought(trains) == trains["model"]
    assert not applies(trains)
    assert given_beside_settings(trains)["plan.rounds"] == 3
    for other in (dump(evaluated(ROSTER, models=[OWN])), {}, {"model": 3}, {"models": [None]}):
        assert brought(other) == {}
        assert not applies(other)
