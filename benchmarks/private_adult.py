"""Adult in unlike silos through the whole platform: FedAvg, then DP-SGD at a target ε.

    python -m benchmarks.private_adult --parties 8 --rounds 100 --epsilon 1

Real processes: server, enclave (SIMULATED), one agent per silo with a privacy budget. The last line
is JSON: test accuracy and AUC of both, ε by every conversion, and what a budget shows.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from secureflow.agent import api
from secureflow.demo.data import (
    LABEL,
    PURPOSE,
    dataset_config,
    demo_features,
    demo_plan,
    private_features,
    split_silos,
    test_set,
)
from secureflow.demo.platform import Platform
from secureflow.demo.scores import score
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.privacy import Placement, Privacy
from secureflow.domain.specs.training import TrainingPlan
from secureflow.sdk import Client, TrainingRequest

ROWS = 32_561
DELTA = 1e-5
ALLOW = "permit(principal, action, resource);"


def main() -> int:
    """Run both jobs and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parties", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument(
        "--protection", default="sealed", choices=["sealed", "secagg", "sealed+secagg"]
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="secureflow-") as directory:
        figures = run(Path(directory), chosen)
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def run(directory: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Build the platform and run both jobs on it."""
    owners = {f"bank-{chr(97 + n)}": f"Bank {chr(65 + n)}" for n in range(chosen.parties)}
    # Jobs without noise are allowed as well, so that both can be compared.
    budget = DatasetPrivacy("adult", 3 * chosen.epsilon, DELTA, required=False)
    silos = split_silos(directory / "data", chosen.parties)
    datasets = {
        party: replace(dataset_config(path, clipped=True), privacy=budget)
        for party, path in zip(owners, silos, strict=True)
    }
    platform = Platform(directory / "platform", owners, datasets, policy=ALLOW)
    with platform:
        platform.build()
        with platform.client("bank-a") as client:
            plain = trained(client, request(platform, replace(demo_plan(20), validation=0.0)))
            private = trained(client, private_request(platform, chosen))
        (told,) = api.data_budget(platform.parties["bank-a"].config)
    return {
        "fedavg": plain,
        "private": private,
        "budget": {name: told[name] for name in ("domain", "epsilon", "delta", "epsilon_spent")},
    }


def private_request(platform: Platform, chosen: argparse.Namespace) -> TrainingRequest:
    """Return the private job; under masks the parties share the noise out."""
    plan = TrainingPlan(rounds=chosen.rounds, validation=0.0, learning_rate=4.0)
    placed: Placement = "enclave" if chosen.protection == "sealed" else "shared"
    privacy = Privacy(delta=DELTA, epsilon=chosen.epsilon, rows=ROWS, noise=placed)
    return replace(
        request(platform, plan),
        features=private_features(),
        privacy=privacy,
        protection=chosen.protection,
    )


def request(platform: Platform, plan: TrainingPlan) -> TrainingRequest:
    """Return a job over every silo."""
    datasets = tuple(owner.dataset_id for owner in platform.parties.values())
    facts = (platform.project, "income", PURPOSE, datasets)
    return TrainingRequest(*facts, features=demo_features(), plan=plan)


def trained(client: Client, wanted: TrainingRequest) -> dict[str, Any]:
    """Run a job and measure its model on the official test rows."""
    began = time.monotonic()
    job = client.jobs.submit(wanted)
    client.jobs.wait(job.id)
    seconds = time.monotonic() - began
    report = client.jobs.report(job.id)
    rows = test_set()
    scores = client.models.load(report["model"]["id"]).predict_proba(rows)[:, 1]
    measured = score(rows[LABEL.column] == LABEL.positive, scores)
    spent = report.get("privacy") or {}
    return {
        "accuracy": round(measured.accuracy, 4),
        "auc": round(measured.auc, 4),
        "rounds": report["rounds"],
        "seconds": round(seconds, 1),
        "epsilon": spent.get("epsilon_planned"),
        "noise_multiplier": spent.get("noise_multiplier"),
    }


if __name__ == "__main__":
    sys.exit(main())
