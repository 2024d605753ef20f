"""The file that XGBoost reads: its predictions are ours, and its trees are as good as its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from unit.engines.training.family_world import federate, pooled, shares
from unit.engines.trees.test_growing import ALL, KEPT, holes
from unit.engines.trees.trees_world import job_of

from secureflow.domain.specs.targets import NumberLabel
from secureflow.engines.preparation import declared_moments, design_matrix
from secureflow.engines.training.export import feature_names
from secureflow.engines.training.models import model_family
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.edges import binned
from secureflow.engines.trees.layout import parts_of
from secureflow.engines.trees.xgboostfile import xgboost_document


@pytest.mark.parametrize(("target", "kept"), [("binary", True), ("number", False)])
def test_the_library_predicts_the_same(target: str, kept: bool, tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost", reason="needs the extra xgboost")
    job = job_of(target, plan={**ALL, "rounds": 12}, **({"features": KEPT} if kept else {}))
    parts = [holes(one) for one in shares()] if kept else shares()
    state, _ = federate(job, parts, tmp_path)
    assert job.features is not None
    label, layout = job.features.label, layout_of(job)
    unit = (label.middle, label.half) if isinstance(label, NumberLabel) else (0.0, 1.0)
    names = feature_names(job.features)
    document = xgboost_document(layout, state, names, unit)
    file = tmp_path / "model.json"
    file.write_text(json.dumps(document))
    booster = xgboost.Booster()
    booster.load_model(file)
    inputs, labels = design_matrix(job.features, declared_moments(job.features), pooled(parts))
    types = booster.feature_types
    rows = xgboost.DMatrix(inputs, feature_names=names, feature_types=types)
    ours = model_family(job).outputs(state, inputs)[:, 0].astype(np.float64)
    theirs = booster.predict(rows)
    if target == "binary":
        np.testing.assert_allclose(theirs, 1 / (1 + np.exp(-ours)), atol=1e-6)
    else:
        np.testing.assert_allclose((theirs - unit[0]) / unit[1], ours, atol=1e-6)
    cells = binned(layout, parts_of(layout, state).edges, inputs).astype(np.float32)
    cells[np.isnan(inputs)] = np.nan
    asked = {"objective": "binary:logistic" if target == "binary" else "reg:squarederror",
             "tree_method": "hist", "eta": 0.5, "max_depth": 3, "base_score": 0.5 * (not unit[0]),
             "min_child_weight": 1.0, "lambda": 1.0, "nthread": 1}  # fmt: skip
    own = xgboost.train(asked, xgboost.DMatrix(cells, labels), 12)
    found = own.predict(xgboost.DMatrix(cells), output_margin=True)
    assert np.corrcoef(found, ours)[0, 1] > 0.97


@pytest.mark.parametrize(("mode", "least", "trees"), [("bagging", 60, 36), ("cyclic", 20, 12)])
def test_it_reads_trees_of_single_parties(
    mode: str, least: int, trees: int, tmp_path: Path
) -> None:
    """With 60 rows a leaf the first party of 50 has no tree at all: its places are empty."""
    xgboost = pytest.importorskip("xgboost", reason="needs the extra xgboost")
    model = {"mode": mode, "min_node_rows": 1, "min_leaf_rows": least}
    job = job_of(plan={**ALL, "rounds": 12}, model=model, features=KEPT)
    parts = [holes(one) for one in shares()]
    state, _ = federate(job, parts, tmp_path)
    assert job.features is not None
    names, file = feature_names(job.features), tmp_path / "model.json"
    file.write_text(json.dumps(xgboost_document(layout_of(job), state, names)))
    booster = xgboost.Booster()
    booster.load_model(file)
    assert booster.num_boosted_rounds() == trees
    inputs, _ = design_matrix(job.features, declared_moments(job.features), pooled(parts))
    rows = xgboost.DMatrix(inputs, feature_names=names, feature_types=booster.feature_types)
    ours = model_family(job).outputs(state, inputs)[:, 0].astype(np.float64)
    np.testing.assert_allclose(booster.predict(rows), 1 / (1 + np.exp(-ours)), atol=1e-6)
    assert ours.std() > 0.5


def test_writing_it_does_not_load_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    job = job_of(plan={**ALL, "rounds": 2})
    state, _ = federate(job, shares(), tmp_path)
    document = xgboost_document(layout_of(job), state, ["a[0]", "b<1", "c", "d", "e"])
    learner = document["learner"]
    assert learner["feature_names"][:2] == ["a(0)", "b_1"]
    trees = learner["gradient_booster"]["model"]["trees"]
    assert [one["id"] for one in trees] == [0, 1]
    for tree in trees:
        count = int(tree["tree_param"]["num_nodes"])
        assert count > 1
        for at, (left, right) in enumerate(zip(tree["left_children"], tree["right_children"],
                                               strict=True)):  # fmt: skip
            assert (left < 0) == (right < 0)
            if left > 0:
                assert tree["parents"][left] == tree["parents"][right] == at
