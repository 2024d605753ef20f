"""The bar: on Adult trees are as good as XGBoost's on all rows in one place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secureflow import simulate
from secureflow.demo.data import LABEL, adult_rows, demo_features, test_set
from secureflow.demo.scores import score
from secureflow.demo.study import columns_of
from secureflow.domain.specs.base import dump
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.edges import binned
from secureflow.engines.trees.layout import parts_of

test_set.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.full
def test_trees_of_three_parties_are_as_good_as_the_library_s_own() -> None:
    xgboost = pytest.importorskip("xgboost", reason="needs xgboost-cpu")
    features = dump(demo_features())
    features["numeric"] = [{**one, "scale": "bounds"} for one in features["numeric"]]
    rows, tested = columns_of(adult_rows("train")), test_set()
    job: dict[str, Any] = {
        "kind": "training", "name": "income", "purpose": "credit-scoring", "features": features,
        "model": {"family": "xgboost", "max_depth": 6, "bins": 64},
        "plan": {"rounds": 30, "learning_rate": 0.3, "validation": 0.0}, "protection": "sealed",
    }  # fmt: skip
    model = simulate(job, rows, parties=3).model
    layout = layout_of(model._spec)
    edges = parts_of(layout, model.parameters).edges

    def matrix(columns: Any, labels: Any = None) -> Any:
        cells = binned(layout, edges, model.inputs(columns)).astype(np.float32)
        return xgboost.DMatrix(cells, labels)

    known = (rows[LABEL.column] == LABEL.positive).astype(int)
    asked = {"objective": "binary:logistic", "tree_method": "hist", "max_bin": 512, "eta": 0.3,
             "max_depth": 6, "lambda": 1.0, "min_child_weight": 1.0, "base_score": 0.5,
             "nthread": 1}  # fmt: skip
    theirs = xgboost.train(asked, matrix(rows, known), 30).predict(matrix(tested))
    labels = tested[LABEL.column] == LABEL.positive
    ours = score(labels, model.predict_proba(tested)[:, 1]).auc
    assert ours > 0.9
    assert abs(ours - score(labels, theirs).auc) < 0.001
