"""How a round grows with the number of agents: real processes and links on one machine.

`python -m benchmarks.scale --agents 8 16 32 64 --parameters 1000000 --protection sealed` prints one
JSON object: for each size the seconds per round, the 95th percentile of a control call (a REST read
by an outsider while rounds run), the server's peak memory, and CPU seconds per agent and round. All
agents share this machine's cores, so what a size costs here is the sum of all parties' work.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.round_overhead import cpu_seconds, peak_mb
from secureflow.demo.platform import Platform
from secureflow.domain.specs import Limits, ModelSpec, TrainingPlan
from secureflow.sdk import JobRequest

ALLOW_ALL = "permit (principal, action, resource);"
PATIENCE = 300.0


def measure(agents: int, parameters: int, rounds: int, protection: str) -> dict[str, Any]:
    """Run one rehearsal with so many agents and return its figures."""
    owners = {f"party-{n:03d}": f"Party {n}" for n in range(agents)}
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(Path(folder) / "platform", owners, policy=ALLOW_ALL)
        with platform:
            platform.build()
            return _rehearse(platform, parameters, rounds, protection)


def _rehearse(platform: Platform, parameters: int, rounds: int, protection: str) -> dict[str, Any]:
    parties = tuple(platform.parties)
    request = JobRequest(
        project=platform.project,
        name="scale",
        purpose="rehearsal",
        datasets=(),
        parties=parties,
        model=ModelSpec(family="rehearsal", parameters=parameters),
        plan=TrainingPlan(rounds=rounds, validation=0.0),
        limits=Limits(patience_seconds=PATIENCE),
        protection=protection,  # type: ignore[arg-type]  # argparse checked the choice
    )
    before = cpu_seconds(platform)
    with platform.client(parties[0]) as client:
        job = client.jobs.submit(request).id
        with _control_calls(platform, parties[-1], job) as latencies:
            client.jobs.wait(job)
        history = client.jobs.report(job)["history"]
    used = cpu_seconds(platform) - before
    return {
        "agents": len(parties),
        "seconds_per_round": round(statistics.median(row["seconds"] for row in history), 3),
        "control_p95_ms": round(1000 * statistics.quantiles(latencies, n=20)[-1], 1),
        "control_calls": len(latencies),
        "server_peak_mb": round(peak_mb(platform, "server")),
        "enclave_peak_mb": round(peak_mb(platform, "enclave")),
        "cpu_seconds_per_agent_round": round(used / len(parties) / len(history), 4),
    }


@contextmanager
def _control_calls(platform: Platform, party: str, job: str) -> Iterator[list[float]]:
    """Read the job's state over and over, and note how long each answer took."""
    latencies: list[float] = []
    done = threading.Event()

    def call() -> None:
        with platform.client(party) as client:
            while not done.wait(0.05):
                began = time.perf_counter()
                client.jobs.get(job)
                latencies.append(time.perf_counter() - began)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield latencies
    finally:
        done.set()
        thread.join()


def main() -> None:
    """Parse arguments, measure each size, print JSON as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--parameters", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    choices = ["sealed", "secagg", "sealed+secagg"]
    parser.add_argument("--protection", choices=choices, default="sealed")
    given = parser.parse_args()
    rows = []
    for agents in given.agents:
        rows.append(measure(agents, given.parameters, given.rounds, given.protection))
        sys.stderr.write(json.dumps(rows[-1]) + "\n")
    result = {"parameters": given.parameters, "protection": given.protection, "curve": rows}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
