"""Whoever follows the hints of a job with differential privacy comes to one that is accepted."""

from __future__ import annotations

import re
from copy import deepcopy
from itertools import product
from typing import Any

import pytest
import yaml

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.tensors import layout_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.full import thinned
from tests.peers.private_jobs import private_value
from tests.unit.domain.test_bundle_family import asked

LINES = re.compile(r"`([^`]+: [^`]+)`")
SUMS = {"family": "gaussian_nb"}
NAIVE: list[dict[str, Any]] = [
    {},
    {"unit": "record", "rows": 400},
    {"unit": "party"},
    {"unit": "party", "mechanism": "central", "noise": "local"},
    {"unit": "party", "mechanism": "central", "party_unit_acknowledged": True, "sampling": 0.5},
    {"unit": "person"},
    {"mechanism": "central"},
    {"noise": "local", "local_steps": 3},
    {"noise": "shared", "local_steps": 3},
    {"metrics_noise": 10.0},
    {"unit": "party", "adaptive": {}},
]
PLANS: list[dict[str, Any]] = [
    {}, {"validation": 0.2}, {"validation": 0.2, "early_stop": {"patience": 2}},
    {"validation": 0, "keep": "best"}, {"local_epochs": 3},
]  # fmt: skip


def bundle(privacy: dict[str, Any], plan: dict[str, Any], protection: str) -> dict[str, Any]:
    value = dump(asked({"sums": ["rows"]}))
    layout = layout_digest(parse(TrainingSpec, value).tensors)
    value |= {"initial": {"model": "ef" * 32, "layout": layout}, "protection": protection}
    return {**value, "plan": plan, "privacy": {"delta": 0.01, "epsilon": 3.0, **privacy}}


def family(
    model: dict[str, Any], privacy: dict[str, Any], plan: dict[str, Any], protection: str
) -> dict[str, Any]:
    value = private_value(privacy={}, model=model, plan=plan, protection=protection)
    return {**value, "privacy": {"delta": 1e-4, "epsilon": 3.0, **privacy}}


def calibrated(job: dict[str, Any]) -> TrainingSpec:
    """Return the spec that the centre makes of it: the multiplier follows from ε."""
    whole = deepcopy(job)
    if whole["privacy"].get("epsilon"):
        whole["privacy"].setdefault("noise_multiplier", 1.0)
    return parse(TrainingSpec, whole)


def followed(job: dict[str, Any], refusal: SecureFlowError) -> dict[str, Any]:
    """Return a job with the lines of a hint, or without the field that it says to remove.

    Where a hint leaves a choice, the first one is taken.
    """
    job, hint = deepcopy(job), str(refusal.hint)
    path = refusal.details["field"].split(".")
    if "Remove it" in hint:
        job[path[0]].pop(path[1])
    lines = LINES.findall(re.split(r",? or (?=`)|, or noise|, else ", hint)[0])
    assert lines or "Remove it" in hint, f"{refusal.message} names no line to write: {hint}"
    for part, inner in (one for line in lines for one in yaml.safe_load(line).items()):
        job[part] = {**(job.get(part) or {}), **inner} if isinstance(inner, dict) else inner
    return job


def walked(job: dict[str, Any]) -> list[str]:
    """Follow hints until a job is accepted; return the fields that they named."""
    fields: list[str] = []
    while (error := refusal(job)) is not None:
        assert chinese(error.message), error
        assert chinese(error.hint), error
        fields.append(error.details["field"])
        assert len(fields) == len(set(fields)), f"in a circle: {fields}: {error}"
        job = followed(job, error)
    return fields


def refusal(job: dict[str, Any]) -> SecureFlowError | None:
    try:
        check(calibrated(job))
    except SecureFlowError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("model", "privacy", "plan", "protection"),
    thinned(
        product(
            ("bundle", "mlp_classifier", "logistic_regression"),
            NAIVE,
            PLANS,
            ("sealed", "secagg", "sealed+secagg"),
        ),
        4,
        pytest.mark.full,
    ),
)
def test_hints_end_at_a_job_that_is_accepted(
    model: str, privacy: dict[str, Any], plan: dict[str, Any], protection: str
) -> None:
    more = {"hidden": [4]} if model == "mlp_classifier" else {}
    if model == "bundle":
        assert len(walked(bundle(privacy, plan, protection))) <= 6
    else:
        assert len(walked(family({"family": model, **more}, privacy, plan, protection))) <= 8


@pytest.mark.parametrize("protection", ["sealed", "secagg", "sealed+secagg"])
@pytest.mark.parametrize("privacy", [*NAIVE, {"clipping_norm": 1e-6}, {"bits": 4}])
def test_those_of_trees_too(privacy: dict[str, Any], protection: str) -> None:
    features = {"numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}]}
    job = family({"family": "xgboost"}, privacy, {"rounds": 2, "validation": 0}, protection)
    job["features"] = {**job["features"], **features}
    assert len(walked(job)) <= 8


@pytest.mark.parametrize("privacy", NAIVE)
def test_those_of_sums_too(privacy: dict[str, Any]) -> None:
    features = {"numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}]}
    job = family(SUMS, privacy, {"rounds": 1, "validation": 0}, "sealed")
    job["features"] = {**job["features"], **features}
    walked(job)


def test_a_bundle_is_told_all_lines_at_once() -> None:
    job = bundle({}, {}, "sealed+secagg")
    fields = walked({**job, "model": {**job["model"], "seconds": 20}})
    assert fields == ["privacy.unit"]
    assert walked(job) == ["privacy.unit"]  # and the seconds that a round waits for
    assert walked({**job, "limits": {"patience_seconds": 8}}) == ["privacy.unit"]


@pytest.mark.parametrize("scale", ["federated", "bounds"])
def test_numbers_that_are_scaled_by_sums_are_told_with_the_other_lines(scale: str) -> None:
    job = bundle({}, {}, "sealed")
    numbers = [{"column": "age", "bounds": [0, 100], "scale": scale}]
    told = refusal({**job, "features": {**job["features"], "numeric": numbers}})
    assert told is not None
    assert ("scale: bounds" in str(told.hint)) == (scale == "federated")
    assert chinese(told.hint)
