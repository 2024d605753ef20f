"""Boosted trees on Adult in 3 unlike silos through the whole platform, beside XGBoost on all rows.

    python -m benchmarks.trees --trees 100 --depth 6
    python -m benchmarks.trees --trees 100 --mode bagging

`python -m benchmarks.private_trees` has the figures under differential privacy.

Real processes: server, enclave (SIMULATED), one agent per silo. Its features are the 14 columns, of
which the 8 of categories are one-hot; `--numbers` takes the 6 numbers only. With `--mode bagging`
or `cyclic`, `--trees` are rounds of trees that the silos grow alone. The last line is JSON:
seconds of the job and of a level, processor seconds of each process per level, and the AUC on the
official test rows, beside that of `xgboost` (`hist`, the same bins and parameters, all rows in one
place, and those of each silo alone) where that package is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.processes import cpu_seconds
from secureflow.agent import api
from secureflow.demo.data import (
    LABEL,
    PURPOSE,
    adult_rows,
    dataset_config,
    demo_features,
    split_silos,
    test_set,
)
from secureflow.demo.platform import Platform
from secureflow.demo.scores import score
from secureflow.demo.study import columns_of
from secureflow.domain.specs.training import FeatureSpec, TrainingPlan
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.edges import binned
from secureflow.engines.trees.layout import parts_of
from secureflow.kit.clock import system_clock
from secureflow.sdk import Client, TrainingRequest
from secureflow.sdk.prediction import Predictor

ALLOW = "permit(principal, action, resource);"
PARTIES = 3


def main() -> int:
    """Run the job and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--bins", type=int, default=64)
    parser.add_argument("--mode", choices=["histogram", "bagging", "cyclic"], default="histogram")
    parser.add_argument("--subsample", type=float, default=1.0)
    parser.add_argument("--numbers", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="secureflow-") as directory:
        figures = run(Path(directory), given)
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def run(directory: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Build the platform and run the job on it."""
    owners = {f"bank-{chr(97 + n)}": f"Bank {chr(65 + n)}" for n in range(PARTIES)}
    silos = split_silos(directory / "data", PARTIES)
    datasets = {
        party: dataset_config(path, clipped=True) for party, path in zip(owners, silos, strict=True)
    }
    platform = Platform(directory / "platform", owners, datasets, policy=ALLOW)
    with platform:
        platform.build()
        if given.mode != "histogram":
            _grant(platform, given.trees)
        with platform.client("bank-a") as client:
            return _trained(platform, client, given)


def _grant(platform: Platform, trees: int) -> None:
    """Let every owner's own trees be released."""
    for party, owner in platform.parties.items():
        with platform.client(party) as client:
            declared = client.datasets.get(owner.dataset_id)
        columns = [one.name for one in declared.columns]
        terms = {"dataset": declared.name, "project": platform.project, "columns": columns,
                 "expires": system_clock() + 86_400, "own_trees": trees}  # fmt: skip
        api.grant_create(owner.config, terms)


def _features(given: argparse.Namespace) -> FeatureSpec:
    features = demo_features()
    numeric = tuple(replace(one, scale="bounds") for one in features.numeric)
    return (
        replace(features, numeric=numeric, categorical=())
        if given.numbers
        else replace(features, numeric=numeric)
    )


def _trained(platform: Platform, client: Client, given: argparse.Namespace) -> dict[str, Any]:
    model = XgboostModel(
        "xgboost",
        max_depth=given.depth,
        bins=given.bins,
        mode=given.mode,
        subsample=given.subsample,
    )
    request = TrainingRequest(
        platform.project, "income", PURPOSE,
        tuple(owner.dataset_id for owner in platform.parties.values()),
        features=_features(given), model=model, protection="sealed",
        plan=TrainingPlan(rounds=given.trees, learning_rate=0.3, validation=0.0),
    )  # fmt: skip
    before, began = _cpu(platform), time.monotonic()
    job = client.jobs.submit(request).id
    client.jobs.wait(job)
    seconds = time.monotonic() - began
    used = {name: round(now - before[name], 2) for name, now in _cpu(platform).items()}
    report = client.jobs.report(job)
    took = sorted(row["seconds"] for row in report["history"])
    found = client.models.load(report["model"]["id"])
    levels = model.levels(1) - 1
    return {
        "trees": given.trees,
        "mode": given.mode,
        "depth": given.depth,
        "inputs": found.features.width,
        "seconds": round(seconds, 1),
        "seconds_per_level": round(took[len(took) // 2] / levels, 4),
        "cpu_seconds": used,
        "load": os.getloadavg()[0],
        **_scores(found, given),
    }


def _cpu(platform: Platform) -> dict[str, float]:
    return {name: cpu_seconds(process.pid) for name, process in platform.processes.items()}


def _scores(found: Predictor, given: argparse.Namespace) -> dict[str, Any]:
    rows = test_set()
    labels = rows[LABEL.column] == LABEL.positive
    figures: dict[str, Any] = {"auc": score(labels, found.predict_proba(rows)[:, 1]).auc}
    if importlib.util.find_spec("xgboost") is None:
        return figures
    import xgboost

    layout = layout_of(found._spec)
    edges = parts_of(layout, found.parameters).edges

    def matrix(columns: Any) -> Any:
        return binned(layout, edges, found.inputs(columns)).astype(np.float32)

    def library(known: Any) -> float:
        """Return the AUC of the library's own trees from some rows."""
        asked = {
            "objective": "binary:logistic", "tree_method": "hist", "max_bin": 512, "eta": 0.3,
            "max_depth": given.depth, "lambda": 1.0, "min_child_weight": 1.0, "base_score": 0.5,
        }  # fmt: skip
        truth = (known[LABEL.column] == LABEL.positive).astype(int)
        booster = xgboost.train(asked, xgboost.DMatrix(matrix(known), truth), given.trees)
        return score(labels, booster.predict(xgboost.DMatrix(matrix(rows)))).auc

    figures["auc_xgboost"] = library(columns_of(adult_rows("train")))
    with tempfile.TemporaryDirectory(prefix="secureflow-") as folder:
        silos = [pq.read_table(path) for path in split_silos(Path(folder), PARTIES)]
    figures["auc_xgboost_alone"] = [library(columns_of(one)) for one in silos]
    return figures


if __name__ == "__main__":
    sys.exit(main())
