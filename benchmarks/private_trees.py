"""Boosted trees under differential privacy on Adult, beside those without and logistic regression.

    python -m benchmarks.private_trees --repeats 3

A simulation of three parties of UCI Adult, δ = 1e-5, noise of the enclave (`sealed`); the AUC is on
the official test rows, its mean over repeats, of which each draws other noise. The last line is
JSON: {"table": {row: {column: auc}}}.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import Any

from secureflow import simulate
from secureflow.demo.data import LABEL, adult_rows, demo_features, test_set
from secureflow.demo.scores import score
from secureflow.demo.study import columns_of
from secureflow.domain.specs.base import dump

PARTIES, DELTA, ROWS = 3, 1e-5, 32_561
SHAPES = ((10, 3, 16), (20, 3, 16), (20, 4, 32))
"""Trees, levels of each, bins."""
EPSILONS = (None, 8.0, 4.0, 2.0, 1.0)


def main() -> int:
    """Run every job and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    table: dict[str, dict[str, float]] = {}
    for numbers in (False, True):
        for name, job in _jobs(numbers=numbers):
            for epsilon in EPSILONS:
                repeats = given.repeats if epsilon else 1
                found = [_auc(_private(job, epsilon)) for _ in range(repeats)]
                column = f"ε = {epsilon:g}" if epsilon else "no privacy"
                table.setdefault(name, {})[column] = round(sum(found) / repeats, 4)
                sys.stderr.write(f"{name}, {column}: {found}\n")
    sys.stdout.write(json.dumps({"table": table}, ensure_ascii=False) + "\n")
    return 0


def _jobs(*, numbers: bool) -> list[tuple[str, dict[str, Any]]]:
    known = demo_features()
    numeric = tuple(replace(one, scale="bounds") for one in known.numeric)
    features = replace(known, numeric=numeric, categorical=() if numbers else known.categorical)
    seen = "numbers" if numbers else "all columns"
    jobs = [
        (
            f"{seen}: {trees} trees of {depth} levels, {bins} bins",
            {
                "model": {"family": "xgboost", "max_depth": depth, "bins": bins},
                "plan": {"rounds": trees, "learning_rate": 0.3, "validation": 0.0},
            },
        )
        for trees, depth, bins in SHAPES
    ]
    linear = {
        "model": {"family": "logistic_regression"},
        "plan": {"rounds": 100, "learning_rate": 4.0, "validation": 0.0},
    }
    jobs.append((f"{seen}: logistic regression, 100 rounds", linear))
    return [
        (name, {"features": dump(features), "protection": "sealed", **job}) for name, job in jobs
    ]


def _private(job: dict[str, Any], epsilon: float | None) -> dict[str, Any]:
    if epsilon is None:
        return job
    privacy = {"noise": "enclave", "epsilon": epsilon, "delta": DELTA, "rows": ROWS}
    return {**job, "privacy": privacy}


def _auc(job: dict[str, Any]) -> float:
    found = simulate(job, columns_of(adult_rows("train")), parties=PARTIES)
    rows = test_set()
    labels = rows[LABEL.column] == LABEL.positive
    return float(score(labels, found.model.predict_proba(rows)[:, 1]).auc)


if __name__ == "__main__":
    sys.exit(main())
