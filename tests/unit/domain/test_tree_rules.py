"""What a job of trees may ask."""

from __future__ import annotations

from typing import Any

import pytest
from unit.engines.training.family_world import private, spec
from unit.engines.trees.trees_world import job_of

from secureflow.domain.specs.scored import ScoredModel, scored_problem
from secureflow.kit.errors import SecureFlowError

NUMBER = {"column": "x0", "bounds": [-1, 1], "scale": "federated"}
WIDE = [{"column": name, "categories": [str(n) for n in range(4096)]} for name in ("a", "b")]
KEPT = {"column": "x0", "bounds": [-1, 1], "scale": "bounds", "missing": "kept"}


@pytest.mark.parametrize(
    ("target", "more", "field"),
    [
        ("classes", {}, "model.family"),
        ("binary", {"features": {"numeric": [NUMBER]}}, "features.x0.scale"),
        ("binary", {"features": {"weight": {"column": "count", "bounds": [0, 2]}}},
         "features.weight"),
        ("binary", {"features": {"arrays": [{"column": "ecg", "shape": [4], "bounds": [0, 1],
                                             "dtype": "float32"}]}}, "features.ecg"),
        ("binary", {"model": {"base_score": 1.0}}, "model.base_score"),
        ("number", {"model": {"base_score": 21.0}}, "model.base_score"),
        ("binary", {"plan": {"rounds": 3334}}, "plan.rounds"),
        ("binary", {"model": {"max_depth": 10}, "features": {"categorical": WIDE}}, "model.bins"),
        ("binary", {"plan": {"local_epochs": 2}}, "plan.local_epochs"),
        ("binary", {"plan": {"strategy": {"name": "fedadam"}}}, "plan.strategy"),
        ("binary", private("local"), "privacy.noise"),
        ("binary", private("enclave", sampling=0.5), "privacy.sampling"),
        ("binary", {**private("enclave", unit="party", mechanism="central", rows=0,
                              delta=1e-3, metrics_noise=None, party_unit_acknowledged=True),
                    "plan": {"validation": 0.0}}, "privacy.unit"),
        ("binary", private("enclave", bits=5), "privacy.bits"),
        ("binary", private("enclave", clipping_norm=1e-6), "privacy.clipping_norm"),
        ("number", private("enclave", clipping_norm=1e6), "privacy.clipping_norm"),
        ("binary", private("enclave", rows=1 << 40, delta=1e-13), "privacy.bits"),
        ("binary", private("enclave", 200.0), "privacy.bits"),
        ("binary", {**private("enclave"), "protection": "secagg"}, "privacy.noise"),
        ("binary", {**private("shared"), "protection": "sealed"}, "privacy.noise"),
        ("binary", {**private("enclave"), "plan": {"early_stop": {}}}, "plan.early_stop"),
        ("binary", {"wire": "float16"}, "wire"),
        ("binary", {"protection": "secagg"}, "privacy"),
        ("binary", {"protection": "sealed+secagg", "model": {"min_node_rows": 100}}, "privacy"),
        ("binary", {"resume": {"job": "job_0000000001", "round": 1, "model": "0" * 64}}, "resume"),
    ],
)  # fmt: skip
def test_contradictions_are_refused_by_name(target: str, more: dict[str, Any], field: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        job_of(target, **more)
    assert caught.value.code == "contradictory_spec"
    assert caught.value.details["field"] == field


def test_another_family_cannot_leave_numbers_missing() -> None:
    with pytest.raises(SecureFlowError) as caught:
        spec("logistic_regression", "binary", features={"numeric": [KEPT]})
    assert caught.value.details["field"] == "features.x0.missing"


def test_a_level_is_a_round() -> None:
    job = job_of(plan={"rounds": 7})
    assert job.planned_rounds == 1 + 7 * 3
    assert job.wire_type == "int64"
    assert job.update_parameters == max(2 * 4 * (2 * 9 + 3 * 2), 2 * 8 * 16)


def test_a_model_of_trees_is_applied_with_their_number() -> None:
    job = job_of(plan={"rounds": 7})
    assert job.features is not None
    known = {"job": "job_0000000001", "digest": "0" * 64, "features": job.features}
    scored = ScoredModel(**known, model=job.model, trees=7)  # type: ignore[arg-type]
    assert scored.bytes == 4 * job.model_parameters
    assert scored_problem(scored) is None
    without = ScoredModel(**known, model=job.model)  # type: ignore[arg-type]
    assert (scored_problem(without) or [""])[0] == "trees"
