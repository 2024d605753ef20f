"""What a job of trees may ask."""

from __future__ import annotations

from typing import Any

import pytest
from unit.engines.training.family_world import private, spec
from unit.engines.trees.trees_world import job_of

from secureflow.domain.specs.base import dump
from secureflow.domain.specs.leavingrows import part_problem
from secureflow.domain.specs.scored import ScoredModel, scored_problem
from secureflow.engines.training.schedule import turns
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
        ("binary", {"model": {"mode": "bagging", "min_node_rows": 1}, "protection": "secagg"},
         "model.mode"),
        ("binary", {"model": {"mode": "cyclic", "min_node_rows": 1},
                    "protection": "sealed+secagg"}, "model.mode"),
        ("binary", {"model": {"mode": "bagging", "min_node_rows": 1}, **private("local")},
         "privacy"),
        ("binary", {"model": {"mode": "cyclic"}}, "model.min_node_rows"),
        ("binary", {"model": {"mode": "bagging", "subsample": 0.5}, "plan": {"order": "public"}},
         "plan.order"),
        ("binary", {"model": {"mode": "bagging", "min_node_rows": 1}, "plan": {"rounds": 3333},
                    "parties": 4}, "plan.rounds"),
        ("binary", {"model": {"mode": "bagging", "min_node_rows": 1},
                    "part_of": {"job": "job_0000000001", "number": 1}}, "model.mode"),
        ("binary", {"model": {"mode": "bagging", "min_node_rows": 1, "max_depth": 10},
                    "features": {"categorical": WIDE}}, "model.bins"),
        ("binary", {"model": {"subsample": 0.5}}, "model.subsample"),
        ("binary", {"model": {"min_leaf_rows": 30}}, "model.min_leaf_rows"),
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


@pytest.mark.parametrize(("mode", "trees"), [("bagging", 21), ("cyclic", 7)])
def test_a_tree_of_a_party_is_a_round(mode: str, trees: int) -> None:
    job = job_of(plan={"rounds": 7}, model={"mode": mode, "min_node_rows": 1})
    assert job.planned_rounds == 1 + 7
    assert [(one.round, one.begins and one.ends) for one in turns(job)][:3] == [
        (0, False), (1, True), (2, True),
    ]  # fmt: skip
    assert job.wire_type == "int64"
    assert job.update_parameters == max(15 * 4, 2 * 8 * 16)
    assert job.model_parameters == 2 * 7 + trees * 15 * 4 + 3
    assert (job.own_trees, job.facts()["own_trees"], job.hides_among) == (7, 7, 1)


def test_no_noise_hides_a_tree() -> None:
    with pytest.raises(SecureFlowError, match="a party's tree is released as it is"):
        job_of(model={"mode": "bagging", "min_node_rows": 1}, **private("local"))


def test_what_was_signed_of_histograms_keeps_its_bytes() -> None:
    told = dump(job_of())["model"]
    assert not {"mode", "subsample", "min_leaf_rows"} & set(told)
    own = dump(job_of(model={"mode": "bagging", "subsample": 0.5, "min_node_rows": 1}))["model"]
    assert (own["mode"], own["subsample"]) == ("bagging", 0.5)


@pytest.mark.parametrize("mode", ["bagging", "cyclic"])
def test_no_other_job_starts_one_that_releases_a_party_s_own_trees(mode: str) -> None:
    job = job_of(model={"mode": mode, "min_node_rows": 1})
    assert (part_problem(job) or [""])[0] == "model.mode"
    assert part_problem(job_of()) is None


def test_a_model_of_single_trees_is_applied_as_any_other() -> None:
    job = job_of(plan={"rounds": 7}, model={"mode": "bagging", "min_node_rows": 1})
    known = {"job": "job_0000000001", "digest": "0" * 64, "features": job.features}
    scored = ScoredModel(**known, model=job.model, trees=21)  # type: ignore[arg-type]
    assert scored.bytes == 4 * job.model_parameters
    assert scored_problem(scored) is None


def test_a_model_of_trees_is_applied_with_their_number() -> None:
    job = job_of(plan={"rounds": 7})
    assert job.features is not None
    known = {"job": "job_0000000001", "digest": "0" * 64, "features": job.features}
    scored = ScoredModel(**known, model=job.model, trees=7)  # type: ignore[arg-type]
    assert scored.bytes == 4 * job.model_parameters
    assert scored_problem(scored) is None
    without = ScoredModel(**known, model=job.model)  # type: ignore[arg-type]
    assert (scored_problem(without) or [""])[0] == "trees"
