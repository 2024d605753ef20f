"""What a masked sum costs: every side of a whole job of one round, in one process, frames included.

    python benchmarks/secagg.py --parties 8 --dim 1000000 [--drop 1]

`cpu_seconds` is the best of several runs and holds everything: set-up, round keys, shares, masking,
closing, recovery. `steady_cpu_seconds` is a later round of a running job. Reference: the whole
round of Flower 1.42's SecAgg+ took 0.088 (4 × 1e5), 0.295 (8 × 1e5), 1.47 (16 × 1e5),
1.08 (8 × 1e6) and 3.25 (16 × 1e6) CPU-seconds on the machine of the design notes.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.base import RosterEntry
from secureflow.engines.secagg import Aggregator, Encoding, MaskingPlan, SecAggClient
from secureflow.kit.crypto import SigningKey

REFERENCE = {
    (4, 100_000): 0.088,
    (8, 100_000): 0.295,
    (16, 100_000): 1.472,
    (8, 1_000_000): 1.083,
    (16, 1_000_000): 3.250,
}
MODEL = "ab" * 32


class Job:
    """All sides of one job; frames pass through `wire_bytes`."""

    def __init__(self, parties: int, dim: int, rounds: int) -> None:
        names = [f"party-{i:03d}" for i in range(parties)]
        keys = {name: SigningKey.generate() for name in names}
        roster = tuple(RosterEntry(name, key.public) for name, key in keys.items())
        encoding = Encoding(length=dim, clip=8.0, bits=20, max_weight=100)
        self.plan = MaskingPlan("job_benchmark", "cd" * 32, roster, encoding, rounds)
        self._keys = keys
        self.clients: dict[str, SecAggClient] = {}
        self.aggregator = Aggregator(self.plan)
        self.wire_bytes = 0

    def set_up(self) -> None:
        """Sealing keys, and the keys and shares of round 0."""
        self.clients = {n: SecAggClient(self.plan, n, key) for n, key in self._keys.items()}
        for name, client in self.clients.items():
            self._up(name, client.setup())
        meet = self.aggregator.meet()
        for name, client in self.clients.items():
            client.meet(self._count(meet))
            self._up(name, client.advance(0))

    def round(
        self, number: int, updates: dict[str, NDArray[np.float32]], weights: dict[str, int]
    ) -> NDArray[np.float64]:
        """One sum over those that have an update here; the rest drop out before the upload."""
        for name, frame in self.aggregator.begin(number, MODEL).items():
            self.clients[name].begin(self._count(frame), MODEL)
        for name, update in updates.items():
            self._up(name, self.clients[name].upload(update, weights[name]))
        self.aggregator.close()
        while not self.aggregator.complete:
            for name, frame in self.aggregator.requests().items():
                self._up(name, self.clients[name].answer(self._count(frame)))
        return self.aggregator.result().mean

    def _count(self, frame: bytes) -> bytes:
        self.wire_bytes += len(frame)
        return frame

    def _up(self, name: str, frame: bytes | memoryview) -> None:
        self.wire_bytes += len(frame)
        self.aggregator.receive(name, frame)


def measure(parties: int, dim: int, drop: int) -> dict[str, float | int]:
    """Run one job of two rounds; the first with its set-up is the whole round."""
    rng = np.random.default_rng(1)
    job = Job(parties, dim, 2)
    names = list(job.plan.index)
    updates = {n: rng.normal(0, 1, dim).astype(np.float32) for n in names}
    weights = {n: int(rng.integers(1, 101)) for n in names}
    alive = {n: updates[n] for n in names[drop:]}
    start = time.process_time()
    job.set_up()
    mean = job.round(0, alive, weights)
    whole = time.process_time() - start
    wire = job.wire_bytes
    total = sum(weights[n] for n in alive)
    exact = sum(weights[n] * updates[n].astype(np.float64) for n in alive) / total
    error = float(np.abs(mean - exact).max())
    start = time.process_time()
    job.round(1, alive, weights)
    steady = time.process_time() - start
    return {
        "cpu_seconds": whole,
        "steady_cpu_seconds": steady,
        "wire_bytes": wire,
        "steady_wire_bytes": job.wire_bytes - wire,
        "max_error": error,
        "ring_bits": 8 * job.plan.ring.itemsize,
        "threshold": job.plan.threshold,
    }


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parties", type=int, default=8)
    parser.add_argument("--dim", type=int, default=1_000_000)
    parser.add_argument("--drop", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    runs = [measure(args.parties, args.dim, args.drop) for _ in range(args.repeat)]
    best = dict(min(runs, key=lambda run: run["cpu_seconds"]))
    best["steady_cpu_seconds"] = min(run["steady_cpu_seconds"] for run in runs)
    best["max_error"] = max(run["max_error"] for run in runs)
    reference = REFERENCE.get((args.parties, args.dim))
    if reference and not args.drop:
        best["reference_cpu_seconds"] = reference
        best["times_less_cpu"] = round(reference / best["cpu_seconds"], 2)
    print(json.dumps({"parties": args.parties, "dim": args.dim, "drop": args.drop, **best}))


if __name__ == "__main__":
    main()
