"""Make the stored data of an older version: `python tests/upgrade/make_old_data.py OUT.tar.xz`.

A worker makes recorded updates again bit by bit, so those in the data have to be made with the code
that workers run (`kit.kernels`). 0.2.0 left it to the processor: to that version's environment
belongs a file `site-packages/kernels.pth` with the line `import os; os.environ.update(…)` of
what `same_kernels()` returns.

Run it in a checkout of that version, with that version's environment: it was last run at 0.2.0
(d37ee9dc), and made `0.2.0.tar.xz`; as it stood in the commit that added it, it made
`cf0e5f2.tar.xz`. A consortium of three banks on 127.0.0.1, as it lay on disk when all
processes were killed at once:

- ended jobs: training `sealed` and `secagg`, training with noise, statistics, one that was refused;
- a request that waits in bank-a's inbox;
- training jobs in the middle of their rounds: `sealed`, `secagg`, `sealed+secagg`, and one with
  noise.

`manifest.json` names the jobs and everybody's password, the directory that paths in the settings
begin with, and the ports. Keys in it are for nothing else.
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from secureflow import __version__
from secureflow.agent import api
from secureflow.demo.data import (
    dataset_config,
    demo_features,
    private_features,
    split_silos,
)
from secureflow.demo.platform import Platform
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.statistics_request import NoiseRequest, StatisticsRequest
from secureflow.domain.specs.training import TrainingPlan
from secureflow.sdk import Client, TrainingRequest
from secureflow.sdk.queries import query

ROWS = 120
RUNNING = 14
"""Rounds of the jobs that are cut off in their third."""
PURPOSE = "credit scoring"
BANKS = {"bank-a": "Bank A", "bank-b": "Bank B", "bank-c": "Bank C"}
POLICY = """
permit(principal, action == Action::"statistics", resource);
permit(principal, action == Action::"training", resource) when { context.rounds != 7 };
forbid(principal, action == Action::"training", resource) when { context.rounds == 9 };
"""
BUDGET = DatasetPrivacy("people", 10.0, 1e-5, required=False)


def main(out: Path) -> None:
    """Play it all, kill everything, pack what lies there."""
    with tempfile.TemporaryDirectory(prefix="secureflow-old-") as scratch:
        root = Path(scratch) / "place"
        datasets = {}
        for party, path in zip(BANKS, split_silos(root / "data", len(BANKS)), strict=True):
            pq.write_table(pq.read_table(path).slice(0, ROWS), path, compression="zstd")
            datasets[party] = replace(dataset_config(path), privacy=BUDGET)
        with Platform(root / "p", BANKS, datasets, policy=POLICY) as place:
            place.build()
            with place.client("bank-a") as client:
                jobs = play(place, client)
            for process in place.processes.values():
                process.kill()
            manifest = {
                "version": __version__,
                "root": str(root),
                "url": place.url,
                "jobs": jobs,
                "project": place.project,
                "passwords": {party: owner.password for party, owner in place.parties.items()},
                "datasets": {party: owner.dataset_id for party, owner in place.parties.items()},
            }
            (root / "manifest.json").write_text(json.dumps(manifest, indent=1))
        with tarfile.open(out, "w:xz", preset=9) as packed:
            packed.add(root, "place", filter=lambda entry: None if skipped(entry.name) else entry)


def skipped(name: str) -> bool:
    """Leave out what is no data: logs, locks, sockets, what processes said of themselves."""
    return name.endswith((".lock", ".sock", "ready.json", ".token")) or "/logs" in name


def play(place: Platform, client: Client) -> dict[str, dict[str, Any]]:
    """Run the jobs; return name → {id, state}."""
    datasets = tuple(owner.dataset_id for owner in place.parties.values())
    columns = place.datasets["bank-a"].columns
    declared = {column.name: column.bounds for column in columns if column.bounds}

    def training(name: str, rounds: int, protection: str, **more: Any) -> str:
        plan = TrainingPlan(rounds=rounds, batch_size=64, learning_rate=0.1)
        features = demo_features()
        if "privacy" in more:
            plan, features = replace(plan, validation=0.0), private_features()
            wide = tuple(replace(one, bounds=declared[one.column]) for one in features.numeric)
            features = replace(features, numeric=wide)
        return client.jobs.submit(
            TrainingRequest(
                place.project, name, PURPOSE, datasets,
                features=features, plan=plan, protection=protection, **more,
            )
        ).id  # fmt: skip

    def ended(job: str) -> str:
        while not client.jobs.get(job).state.final:
            time.sleep(0.1)
        return job

    noise = Privacy(delta=1e-5, noise_multiplier=3.0, rows=3 * ROWS, noise="enclave")
    asked = StatisticsRequest(
        place.project, "ages", PURPOSE, datasets,
        queries=(query("mean:age"), query("count:age:by=sex")),
        privacy=NoiseRequest(1e-6, epsilon=0.5),
    )  # fmt: skip
    jobs = {
        "sealed": ended(training("sealed", 2, "sealed")),
        "secagg": ended(training("secagg", 2, "secagg")),
        "private": ended(training("private", 2, "sealed", privacy=noise)),
        "statistics": ended(client.jobs.submit(asked).id),
        "refused": ended(training("refused", 9, "sealed")),
        "waiting": training("by hand", 7, "sealed"),
    }
    while not any(
        item["job"] == jobs["waiting"]
        for item in api.inbox_list(place.parties["bank-a"].config, waiting=True)
    ):
        time.sleep(0.1)
    running = {
        "running_sealed": training("running sealed", RUNNING, "sealed"),
        "running_secagg": training("running secagg", RUNNING, "secagg"),
        "running_both": training("running both", RUNNING, "sealed+secagg"),
        "running_private": training(
            "running private", RUNNING, "sealed", privacy=replace(noise, noise_multiplier=9.0)
        ),
    }
    jobs |= running
    for name in running:
        while (found := client.jobs.get(jobs[name])).progress.get("round", 0) < 3:
            if found.state.final:
                raise SystemExit(f"{name} has ended: {found.state} {found.error}")
            time.sleep(0.02)
    return {
        name: {"id": job, "state": str(client.jobs.get(job).state)} for name, job in jobs.items()
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
