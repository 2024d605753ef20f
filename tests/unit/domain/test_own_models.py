"""Strategies by which parties end with models of their own: what they can run under."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.strategies import ChosenStrategy
from secureflow.domain.specs.tensors import total
from secureflow.domain.specs.torch_families import TorchMlpModel, TorchTransformerModel
from secureflow.domain.specs.training import ModelSpec, Resume, TrainingPlan, TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.kit.errors import SecureFlowError
from tests.unit.domain.test_plan_rules import SPEC, refused

LAYER = TorchMlpModel("torch_mlp", hidden=(8, 4), norm="layer")
BATCH = replace(LAYER, norm="batch")
PRIVATE = Privacy(
    unit="record", mechanism="dp-sgd", noise="local", noise_multiplier=1.0, delta=1e-6, rows=900
)


def asked(strategy: Any, model: Any = None, **plan: Any) -> TrainingSpec:
    found = parse(TrainingPlan, {"validation": 0.2, "strategy": strategy, **plan}, "plan")
    return replace(SPEC, plan=found, model=model or ModelSpec())


@pytest.mark.parametrize("protection", ["sealed", "secagg", "sealed+secagg"])
@pytest.mark.parametrize(
    ("name", "model"), [("finetune", None), ("fedbn", LAYER), ("fedbn", BATCH)]
)
def test_they_run_under_every_protection(name: str, model: Any, protection: Any) -> None:
    spec = replace(asked(name, model), protection=protection)
    check(spec)
    assert spec.own_models
    assert spec.wire_type == "float32"


@pytest.mark.parametrize(("model", "each"), [(LAYER, 2), (BATCH, 4)])
def test_norms_are_no_part_of_an_update(model: TorchMlpModel, each: int) -> None:
    """Parameters, and of BatchNorm means and variances: none of them is sent."""
    spec = asked("fedbn", model)
    assert total(spec.staying) == each * (8 + 4)
    assert spec.update_parameters == spec.model_parameters - each * (8 + 4)
    assert spec.parameters == spec.model_parameters
    assert {one.name.split(".")[0] for one in spec.staying} == {"norms"}
    assert not asked("fedavg", LAYER).staying
    assert asked("fedavg", LAYER).update_parameters == spec.model_parameters - (each - 2) * 12


def test_a_model_without_norms_is_refused_by_name() -> None:
    for model in (None, TorchMlpModel("torch_mlp", hidden=(8,))):
        told = refused(asked("fedbn", model))
        assert "fedbn keeps normalisation layers" in told
    assert asked("fedbn", TorchTransformerModel("torch_transformer")).own_models


def test_what_batchnorm_counts_of_rows_leaves_no_party() -> None:
    for strategy in ("fedavg", "finetune", "feddyn"):
        assert "BatchNorm" in refused(asked(strategy, BATCH))
    check(asked("fedbn", BATCH))


@pytest.mark.parametrize(("name", "model"), [("finetune", None), ("fedbn", LAYER)])
def test_noise_is_refused(name: str, model: Any) -> None:
    spec = replace(asked(name, model), privacy=PRIVATE)
    assert "their figures have no noise" in refused(spec)


@pytest.mark.parametrize(
    ("name", "model", "plan", "told"),
    [
        ("finetune", None, {"validation": 0.0}, "who gains"),
        ("finetune", None, {"keep": "best"}, "of the last one"),
        ("fedbn", LAYER, {"keep": "best"}, "of the last one"),
    ],
)
def test_a_plan_that_contradicts_is_refused(
    name: str, model: Any, plan: dict[str, Any], told: str
) -> None:
    assert told in refused(asked(name, model, **plan))


def test_layers_that_ended_with_their_job_are_not_gone_on_from() -> None:
    resume = Resume("job_0123456789", 1, "ab" * 32)
    assert "ends with their job" in refused(replace(asked("fedbn", LAYER), resume=resume))
    check(replace(asked("finetune"), resume=resume))


@pytest.mark.parametrize(
    "given",
    [
        {"name": "finetune", "epochs": 0},
        {"name": "finetune", "epochs": 1001},
        {"name": "finetune", "epochs": 1.5},
        {"name": "finetune", "learning_rate": 0},
        {"name": "finetune", "mu": 0.1},
        {"name": "fedbn", "epochs": 1},
    ],
)
def test_parameters_out_of_range_or_of_others_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError):
        parse(ChosenStrategy, given, "plan")  # type: ignore[arg-type]


def test_a_network_without_norms_has_the_digest_that_it_had() -> None:
    assert "norm" not in dump(TorchMlpModel("torch_mlp"))
    spec = asked("fedavg", TorchMlpModel("torch_mlp", hidden=(8,)))
    assert spec_digest(spec) == spec_digest(parse(TrainingSpec, dump(spec), "spec"))
