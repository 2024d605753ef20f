"""Targets, families, starts and the wire in a spec: their JSON, and what contradicts itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from unit.engines.training.family_world import private, spec

from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.tensors import layout_digest
from secureflow.domain.specs.training import (
    ClassesLabel,
    FeatureSpec,
    Label,
    MlpModel,
    ModelSpec,
    NumberLabel,
    TrainingSpec,
)
from secureflow.domain.specs.training_rules import check
from secureflow.kit.errors import SecureFlowError

DIGEST = "ab" * 32
NUMERIC = {"column": "x0", "bounds": [-1, 1], "scale": "bounds"}


def refused(family: str, target: str, **more: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        spec(family, target, **more)
    return caught.value


def test_a_spec_of_before_has_the_json_and_the_digest_of_before() -> None:
    job = spec("logistic_regression", "binary")
    assert spec_digest(job) == "4003fc950ae06add55a8fb49cff9fbeed26618923c6082402c69ada316208729"
    written = dump(job)
    assert parse(TrainingSpec, written) == job
    assert "weight" not in written["features"]
    for name in ("initial", "wire"):
        assert name not in written
    assert "keep" not in written["plan"]
    assert "class_weights" not in written["model"]


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ({"column": "y", "positive": "1"}, Label),
        ({"column": "y", "classes": ["a", "b"]}, ClassesLabel),
        ({"column": "y", "bounds": [0, 1]}, NumberLabel),
        (None, type(None)),
    ],
)
def test_a_targets_members_say_what_it_is(label: Any, kind: type) -> None:
    features = parse(FeatureSpec, {"label": label, "numeric": [NUMERIC]})
    assert isinstance(features.label, kind)
    assert parse(FeatureSpec, dump(features)) == features
    assert features.inputs == ("x0",)
    assert features.columns == (("x0",) if label is None else ("x0", "y"))


@pytest.mark.parametrize(
    ("label", "field"),
    [
        ({"column": "y"}, "label"),
        ({"column": "y", "classes": ["a"]}, "label.classes"),
        ({"column": "y", "bounds": [0]}, "label.bounds.1"),
        ({"column": "y", "bounds": [0, float("inf")]}, "label.bounds.1"),
        ({"column": "y", "classes": ["a", "b"], "positive": "a"}, "label.positive"),
        ("y", "label"),
    ],
)
def test_a_wrong_target_is_named_by_its_place(label: Any, field: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        parse(FeatureSpec, {"label": label, "numeric": [NUMERIC]})
    assert caught.value.details["fields"][0]["field"] == field


def test_a_family_decides_the_form_of_the_model() -> None:
    assert isinstance(spec("mlp", "binary").model, MlpModel)
    assert isinstance(parse(TrainingSpec, dump(spec("softmax", "classes"))).model, object)
    job = dump(spec("logistic_regression", "binary"))
    assert parse(TrainingSpec, {**job, "model": {}}).model == ModelSpec()
    for model in ({"family": "forest"}, {"family": ["mlp"]}, {"family": "mlp"}, "mlp"):
        with pytest.raises(SecureFlowError) as caught:
            parse(TrainingSpec, {**job, "model": model})
        assert caught.value.code == "invalid_spec"
        assert caught.value.details["fields"][0]["field"].startswith("model")


@pytest.mark.parametrize(
    ("family", "target", "more", "field"),
    [
        ("softmax", "binary", {}, "model.family"),
        ("logistic_regression", "classes", {}, "model.family"),
        ("linear", "classes", {}, "model.family"),
        ("linear", "number", {"features": {"label": None}}, "features.label"),
        ("mlp", "classes", {"model": {"class_weights": [1, 2]}}, "model.class_weights"),
        ("mlp", "number", {"model": {"class_weights": [1, 2]}}, "model.class_weights"),
        ("logistic_regression", "binary", {"model": {"class_weights": [1, 2, 3]}},
         "model.class_weights"),
        ("softmax", "classes",
         {"features": {"label": {"column": "kind", "classes": ["a", "a"]}}},
         "features.label.classes"),
        ("linear", "number", {"features": {"label": {"column": "price", "bounds": [1, 1]}}},
         "features.label.bounds"),
        ("linear", "number", {"features": {"weight": {"column": "count", "bounds": [-1, 1]}}},
         "features.weight.bounds"),
        ("linear", "number", {"features": {"weight": {"column": "price", "bounds": [0, 1]}}},
         "features"),
        ("mlp", "binary", {"plan": {"keep": "best", "validation": 0.0}}, "plan.keep"),
        ("mlp", "binary", {"plan": {"keep": "best"}, "release": {"intermediate": "agents"}},
         "plan.keep"),
        ("mlp", "binary", {"plan": {"keep": "best"}, **private("enclave")}, "plan.keep"),
        ("mlp", "binary", {"wire": "float16", "protection": "secagg"}, "wire"),
        ("mlp", "binary", {"wire": "bfloat16", "protection": "sealed+secagg"}, "wire"),
        ("mlp", "binary", {"wire": "float16", **private("enclave")}, "wire"),
        ("mlp", "binary", {"wire": "float16", "limits": {"clip_norm": 1e5}}, "wire"),
        ("ridge", "number", {"wire": "bfloat16"}, "wire"),
        ("mlp", "number", {"model": {"hidden": [16384, 16384]}}, "model"),
        ("mlp", "binary", {"initial": {"model": DIGEST, "layout": DIGEST}}, "initial.layout"),
        ("mlp", "binary",
         {"initial": {"model": DIGEST, "layout": layout_digest(spec("mlp", "binary").tensors)},
          "resume": {"job": "job_0123456789", "round": 1, "model": DIGEST}}, "initial"),
        ("ridge", "number", {"initial": {"model": DIGEST, "layout": DIGEST}}, "initial"),
        ("ridge", "number",
         {"resume": {"job": "job_0123456789", "round": 1, "model": DIGEST}}, "resume"),
        ("mlp", "binary", {"plan": {"order": "public"}, **private("enclave")}, "plan.order"),
        ("mlp", "binary", {"model": {"hidden": [8193]}, **private("enclave")}, "model"),
        ("ridge", "number", private("enclave", rows=20_000), "privacy.bits"),
    ],
)  # fmt: skip
def test_contradictions_are_named(
    family: str, target: str, more: dict[str, Any], field: str
) -> None:
    error = refused(family, target, **more)
    assert error.code == "contradictory_spec"
    assert error.details == {"field": field}


def test_what_starts_a_job() -> None:
    layout = layout_digest(spec("mlp", "binary").tensors)
    given = {"model": DIGEST, "layout": layout}
    assert spec("mlp", "binary", initial=given).starts_from == DIGEST
    assert spec("mlp", "binary").starts_from == ""
    resumed = {"job": "job_0123456789", "round": 1, "model": "cd" * 32}
    assert spec("mlp", "binary", resume=resumed).starts_from == "cd" * 32
    assert spec("mlp", "binary", wire="float32", protection="secagg").wire == "float32"
    assert spec("mlp", "binary", wire="float16", **private("local")).wire == "float16"


def test_a_rehearsal_obeys_the_rules_of_the_wire_too() -> None:
    job = replace(
        spec("mlp", "binary"),
        features=None, model=ModelSpec("rehearsal", 0.0, 9), wire="float16", protection="secagg",
    )  # fmt: skip
    with pytest.raises(SecureFlowError) as caught:
        check(job)
    assert caught.value.details == {"field": "wire"}
    check(replace(job, protection="sealed"))
