"""A million int64 of three parties, added up exactly: bare, and through the whole product.

    python -m benchmarks.jointsums [--numbers 1000000] [--jobs 5]

Each party has a row for each of a million keys; the job is a sum by keys, as people ask for it. Its
`seconds` are those of the round that the report tells: every agent's worker adds its rows up and
writes the numbers, agents mask, record and send them, the centre adds the vectors up, has the sum
opened by a vote of all, checks it and stores the file of totals. Rows were read at the job's set-
up. `bare_seconds` are the same masked sum as calls in one process, of vectors that are there. `mb`
is what the links to the centre carried during a job, and one download of the totals.

Last line: `{"rows": [{"name", "bare_seconds", "seconds", "ratio", "mb", "peak_mb"}]}`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.hosted import ALLOW_ALL
from benchmarks.processes import peak_mb
from benchmarks.wire import carried
from secureflow.demo.data import PURPOSE
from secureflow.demo.platform import Platform
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.base import RosterEntry
from secureflow.engines.secagg import Conductor, MaskingPlan, SecAggClient, open_sum
from secureflow.engines.secagg.wholenumbers import masked_values, opened_totals, whole_encoding
from secureflow.kit.crypto import SigningKey

PARTIES = ("bank-a", "bank-b", "bank-c")
MOST = 1 << 40
"""Below this the numbers are; three of them are exact in a float64 too, for the comparison."""
MODEL = "ab" * 32


def joint_sums_row(numbers: int = 1_000_000, jobs: int = 5) -> dict[str, Any]:
    """Return the row `joint-sums 1M x 3` of the table of engines.

    Args:
        numbers: of each party.
        jobs: how often it runs; figures are of the median job.
    """
    drawn = np.random.default_rng(1)
    own = [drawn.integers(-MOST, MOST, numbers) for _ in PARTIES]
    bare = min(bare_seconds(own) for _ in range(3))
    seconds, carried_bytes, peak = through_the_product(own, jobs)
    size = f"{numbers // 1_000_000}M" if numbers >= 1_000_000 else f"{numbers // 1000}k"
    return {
        "name": f"joint-sums {size} x {len(PARTIES)}",
        "bare_seconds": round(bare, 3),
        "seconds": round(seconds, 3),
        "ratio": round(seconds / bare, 2),
        "mb": round(carried_bytes / 1e6, 1),
        "peak_mb": round(peak),
    }


def bare_seconds(own: list[NDArray[np.int64]]) -> float:
    """Return the seconds of the masked sum itself: mask, add up, vote, open, check."""
    keys = {name: SigningKey.generate() for name in PARTIES}
    roster = tuple(RosterEntry(name, key.public) for name, key in keys.items())
    plan = MaskingPlan("job_benchmark", "cd" * 32, roster, whole_encoding(len(own[0])))
    clients = {name: SecAggClient(plan, name, key) for name, key in keys.items()}
    conductor = Conductor(plan)
    for name, client in clients.items():
        conductor.receive(name, client.setup())
    meet = conductor.meet()
    for name, client in clients.items():
        client.meet(meet)
        conductor.receive(name, client.advance(0))
    frames = conductor.begin(0, MODEL)
    total, vector = (np.zeros(plan.encoding.slots, plan.ring) for _ in range(2))
    began = time.perf_counter()
    for (name, client), values in zip(clients.items(), own, strict=True):
        client.begin(frames[name], MODEL)
        frame, _ = client.contribute(masked_values(values), 1, {}, None, vector)
        conductor.receive(name, frame)
        total += vector
    conductor.close()
    while not conductor.complete:
        for name, frame in conductor.requests().items():
            conductor.receive(name, clients[name].answer(frame))
    opened = conductor.opened()
    open_sum(plan, 0, opened, total)
    found = opened_totals(plan, total, len(PARTIES))
    took = time.perf_counter() - began
    assert np.array_equal(found, sum(own))
    return took


def through_the_product(own: list[NDArray[np.int64]], jobs: int) -> tuple[float, float, float]:
    """Return seconds and bytes of the median job, and the most that a process held in MB."""
    with tempfile.TemporaryDirectory() as folder:
        datasets = {
            party: _dataset(Path(folder) / f"{party}.parquet", values)
            for party, values in zip(PARTIES, own, strict=True)
        }
        owners = {party: party.title() for party in PARTIES}
        place = Path(folder) / "platform"
        with Platform(place, owners, datasets, policy=ALLOW_ALL, purpose=PURPOSE) as platform:
            platform.build()
            runs = [_run(platform, own) for _ in range(jobs)]
            peak = max(peak_mb(process.pid) for process in platform.processes.values())
    return (
        statistics.median(seconds for seconds, _ in runs),
        statistics.median(size for _, size in runs),
        peak,
    )


def _run(platform: Platform, own: list[NDArray[np.int64]]) -> tuple[float, float]:
    """Run one job, and compare its totals with the sum."""
    ports = {
        int(json.loads((platform.server / "ready.json").read_text())["link"].rpartition(":")[2])
    }
    count = len(own[0])
    query = {"name": "spent", "measure": "sum", "columns": ["spent"],
             "keys": {"column": "customer", "first": 0, "count": count}}  # fmt: skip
    request = {
        "kind": "mpc", "project": platform.project, "name": "sums", "purpose": PURPOSE,
        "datasets": [owner.dataset_id for owner in platform.parties.values()],
        "program": {"name": "joint-sums", "queries": [query]},
    }  # fmt: skip
    with platform.client(PARTIES[0]) as client:
        before = carried(ports)
        job = client.jobs.wait(client.jobs.submit(request).id)
        links = carried(ports) - before
        report = client.jobs.report(job.id)
        found = client.mpc.totals(job.id)["spent"].values
    assert np.array_equal(found, sum(own))
    (row,) = report["history"]
    return float(row["seconds"]), float(links + report["totals"]["size"])


def _dataset(path: Path, values: NDArray[np.int64]) -> DatasetConfig:
    table = pa.table({"customer": np.arange(len(values)), "spent": values})
    pq.write_table(table, path)
    columns = (
        ColumnConfig("customer", "number", bounds=(0, len(values))),
        ColumnConfig("spent", "number", bounds=(-MOST, MOST)),
    )
    return DatasetConfig("customers", str(path), "parquet", columns)


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=5)
    given = parser.parse_args()
    row = joint_sums_row(given.numbers, given.jobs)
    sys.stdout.write(json.dumps({"rows": [row]}) + "\n")


if __name__ == "__main__":
    main()
