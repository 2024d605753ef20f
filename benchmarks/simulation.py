"""How fast a simulation is, beside Flower's: the last line is JSON.

`python -m benchmarks.simulation [--flower PYTHON]` simulates rounds of a model of 250,000 float32
values (1 MB) that nobody trains, with 10 and with 100 parties, and prints seconds a round (median)
and the peak memory of the process. PYTHON is the interpreter of an environment that has
`flwr[simulation]`: the same rounds run there in Flower's engine, in the same run of this benchmark,
else its figure is null. Both sides move the same bytes; neither trains.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

PARAMETERS = 250_000
ROUNDS = 6
PEER = Path(__file__).with_name("flower_rounds.py")


def ours(parties: int, protection: str) -> dict[str, Any]:
    """Simulate in a process of its own, so that its peak memory is its own."""
    words = ("-m", "benchmarks.simulation", "--one", str(parties), "--protection", protection)
    done = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def one(parties: int, protection: str) -> dict[str, Any]:
    """Simulate in this process."""
    from secureflow import simulate

    job = {
        "model": {"family": "rehearsal", "parameters": PARAMETERS},
        "plan": {"rounds": ROUNDS, "validation": 0.0},
    }
    outcome = simulate(job, parties=parties, protection=protection)
    return {
        "parties": parties,
        "protection": protection,
        "seconds_per_round": statistics.median(row["seconds"] for row in outcome.history),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def flower(python: str, parties: int) -> float | None:
    """Return Flower's seconds a round, by the times at which its strategy adds up."""
    with tempfile.TemporaryDirectory() as folder:
        words = [python, str(PEER), str(parties), str(PARAMETERS), str(ROUNDS), f"{folder}/times"]
        environment = {**os.environ, "FLWR_TELEMETRY_ENABLED": "0", "FLWR_HOME": folder,
                       "RAY_DISABLE_IMPORT_WARNING": "1"}  # fmt: skip
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stderr.write(done.stderr[-2000:])
            return None
        times = [float(line) for line in Path(f"{folder}/times").read_text().split()]
    return statistics.median(b - a for a, b in pairwise(times))


def main() -> None:
    """Print a line for each run, and the summary last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flower", default="", metavar="PYTHON")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--protection", default="sealed")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.one, given.protection)))
        return
    rows = [ours(parties, given.protection) for parties in (10, 100)]
    peer = flower(given.flower, 100) if given.flower else None
    for row in rows:
        print(json.dumps(row))
    print(
        json.dumps(
            {
                "seconds_per_round": rows[1]["seconds_per_round"],
                "flower_seconds_per_round": None if peer is None else round(peer, 3),
                "peak_mb": {str(row["parties"]): row["peak_mb"] for row in rows},
            }
        )
    )


if __name__ == "__main__":
    main()
