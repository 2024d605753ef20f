"""What contradicts a differentially private job is refused with the field and the reason."""

from __future__ import annotations

from typing import Any

import pytest
from peers.chinese import in_chinese
from peers.private_jobs import FEATURES, private_spec, private_value

from secureflow.domain.quorum import colluders_of, honest_of, threshold_of
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.kit.errors import SecureFlowError

PLAN = {"rounds": 3, "validation": 0.0, "learning_rate": 1.0}
MASKED: dict[str, Any] = {"protection": "secagg"}
PARTY = {
    "unit": "party",
    "mechanism": "central",
    "party_unit_acknowledged": True,
    "rows": 0,
    "delta": 0.01,
}


@pytest.mark.parametrize(
    "privacy",
    [{}, {"sampling": 0.1}, {"noise": "local", "local_steps": 5}, PARTY, {"epsilon": 2.0}],
)
def test_a_sound_spec_passes_and_survives_its_json(privacy: dict[str, Any]) -> None:
    spec = private_spec(privacy)
    check(spec)
    assert parse(TrainingSpec, dump(spec)) == spec


def test_local_noise_goes_with_masks() -> None:
    check(private_spec({"noise": "local"}, protection="secagg"))


def test_shared_noise_goes_with_masks_and_noised_metrics_with_validation_rows() -> None:
    for protection in ("secagg", "sealed+secagg"):
        check(private_spec({"noise": "shared"}, protection=protection))
        check(private_spec({**PARTY, "noise": "shared", "adaptive": {"bit_noise": 2.0}}, **MASKED))
    plan = {**PLAN, "validation": 0.1}
    check(private_spec({"metrics_noise": 5.0}, plan=plan))
    check(private_spec({"metrics_noise": 5.0, "noise": "shared"}, plan=plan, **MASKED))


@pytest.mark.parametrize("parties", range(3, 257))
def test_honest_parties_are_those_of_the_protocol(parties: int) -> None:
    assert honest_of(parties) == threshold_of(parties) - colluders_of(parties)
    assert honest_of(parties) >= 2


CONTRADICTIONS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("privacy.mechanism", {"mechanism": "central"}, {}, "another unit"),
    ("privacy.mechanism", {**PARTY, "mechanism": "dp-sgd"}, {}, "another unit"),
    ("privacy.unit", {**PARTY, "party_unit_acknowledged": False}, {}, "whole party"),
    ("privacy.unit", {"unit": "person"}, {}, "how many records"),
    ("privacy.noise", {**PARTY, "noise": "local"}, {}, "no unit above"),
    ("privacy.sampling", {**PARTY, "sampling": 0.5}, {}, "all parties"),
    ("privacy.noise", {}, {"protection": "secagg"}, "sees no sum"),
    ("privacy.noise", {}, {"protection": "sealed+secagg"}, "sees no sum"),
    ("privacy.noise", {"noise": "shared"}, {}, "protects a sum only"),
    ("privacy.noise", {**PARTY, "noise": "shared"}, {}, "protects a sum only"),
    ("privacy.local_steps", {"noise": "shared", "local_steps": 2}, MASKED, "one step a round"),
    ("privacy.bits", {"noise": "shared", "bits": 4, "noise_multiplier": 0.1}, MASKED, "narrower"),
    ("privacy.adaptive", {"adaptive": {}}, {}, "quantile of the records"),
    (
        "privacy.adaptive.bit_noise",
        {**PARTY, "noise_multiplier": 4.0, "adaptive": {"bit_noise": 2.0}},
        {},
        "bit alone",
    ),
    ("privacy.metrics_noise", {"metrics_noise": 5.0}, {}, "no validation rows"),
    ("privacy.metrics_noise", {**PARTY, "metrics_noise": 5.0}, {}, "whole party adds"),
    (
        "privacy.metrics_noise",
        {"metrics_noise": 65.0},
        {"plan": {**PLAN, "validation": 0.1}},
        "2\\^17",
    ),
    ("privacy.local_steps", {"local_steps": 2}, {}, "one step a round"),
    ("plan.local_epochs", {}, {"plan": {**PLAN, "local_epochs": 2}}, "own noise"),
    (
        "features.age.scale",
        {},
        {"features": {**FEATURES, "numeric": [{"column": "age", "bounds": [0, 100]}]}},
        "federated moments",
    ),
    ("plan.validation", {}, {"plan": {**PLAN, "validation": 0.1}}, "without noise"),
    (
        "plan.early_stop",
        {},
        {"plan": {**PLAN, "validation": 0.1, "early_stop": {"patience": 2}}},
        "depend on each round",
    ),
    ("privacy.rows", {"rows": 0}, {}, "must be public"),
    ("privacy.delta", {"delta": 0.01}, {}, "at random|published whole"),
    ("privacy.sampling", {"sampling": 0.001}, {}, "less than one record"),
    ("privacy.noise_multiplier", {"noise_multiplier": None}, {}, "neither given"),
    ("privacy.bits", {"noise_multiplier": 100.0, "bits": 16}, {}, "2\\^17"),
    (
        "privacy",
        {},
        {"features": None, "model": {"family": "rehearsal", "parameters": 8}},
        "uses no data",
    ),
]


@pytest.mark.parametrize(("field", "privacy", "changes", "reason"), CONTRADICTIONS)
def test_a_contradiction_names_field_and_reason(
    field: str, privacy: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SecureFlowError, match=reason) as caught:
        check(private_spec(privacy, **changes))
    assert caught.value.code == "contradictory_spec"
    assert caught.value.details == {"field": field}
    assert in_chinese(caught.value)


AGE = {"column": "age", "bounds": [0, 100]}
NOOP = {"family": "rehearsal", "parameters": 8}
WITHOUT_PRIVACY: list[tuple[str, dict[str, Any], str]] = [
    ("roster", {"roster": private_value()["roster"][:1]}, "fewer than 2"),
    ("roster", {"roster": private_value()["roster"][:1] * 3}, "party is listed twice"),
    ("min_contributors", {"min_contributors": 2}, "fewer than three"),
    ("min_contributors", {"min_contributors": 5}, "exceeds"),
    ("features", {"features": {**FEATURES, "numeric": [AGE, AGE]}}, "column is listed"),
    ("features", {"features": {"label": FEATURES["label"]}}, "no feature"),
    ("features.age.bounds", {"features": {**FEATURES, "numeric": [
        {"column": "age", "bounds": [5, 5]}]}}, "not below"),
    ("features.age.bounds", {"features": {**FEATURES, "numeric": [
        {"column": "age", "bounds": [0, 1e101]}]}}, "beyond"),
    ("features.job.categories", {"features": {**FEATURES, "categorical": [
        {"column": "job", "categories": ["x", "x"]}]}}, "category is listed"),
    ("features", {"features": None}, "family needs"),
    ("model.parameters", {"model": {"parameters": 1}}, "only for rehearsals"),
    ("plan.early_stop", {"plan": {**PLAN, "early_stop": {"patience": 1}}}, "no validation share"),
    ("features", {"model": NOOP}, "uses no data"),
    ("model.parameters", {"model": {**NOOP, "parameters": 0}, "features": None}, "at least one"),
    ("release.intermediate", {**MASKED, "release": {"intermediate": "agents"}}, "every agent"),
    ("quantisation.bits", {**MASKED, "quantisation": {"bits": 40},
                           "limits": {"max_weight": 1 << 31}}, "64-bit"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "changes", "reason"), WITHOUT_PRIVACY)
def test_a_contradiction_without_a_privacy_part_names_them_too(
    field: str, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SecureFlowError, match=reason) as caught:
        check(parse(TrainingSpec, private_value() | {"privacy": None} | changes))
    assert caught.value.details == {"field": field}
    assert in_chinese(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("delta", 0.0),
        ("delta", 0.5),
        ("delta", None),
        ("noise_multiplier", 0.0),
        ("noise_multiplier", float("nan")),
        ("noise_multiplier", float("inf")),
        ("clipping_norm", 0.0),
        ("clipping_norm", -1.0),
        ("sampling", 0.0),
        ("sampling", 1.5),
        ("rows", -1),
        ("local_steps", 0),
        ("bits", 40),
        ("epsilon", 0.0),
        ("unit", "silo"),
        ("noise", "server"),
        ("mechanism", "svt"),
        ("sigma", 1.0),
    ],
)
def test_a_value_out_of_range_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(SecureFlowError) as caught:
        parse(TrainingSpec, private_value({field: value}))
    assert caught.value.code == "invalid_spec"
    assert caught.value.details["fields"][0]["field"] == f"privacy.{field}"
