"""How a round grows with the number of agents: 8…256 real agents, real links, one machine.

`python -m benchmarks.scale --agents 8 16 32 64 --parameters 1000000 --protection sealed` prints one
JSON object as its last line: for each size the seconds per round, how long control calls took while
rounds ran, the peak memory of server and enclave, who used the processor, and what went over the
wire; then the exponent with which each part grows (docs/scale.md reads them).

Server and enclave are processes of their own. The agents are hosted, many to a process
(`benchmarks.crowd`), and step back for the others (`load_nice`): they stand for other machines.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.hosted import Hosted
from benchmarks.probes import Probes
from benchmarks.processes import Usage, loopback_bytes, peak_mb, usage
from secureflow.domain.specs import Limits, ModelSpec, Protection, TrainingPlan
from secureflow.sdk import AsyncClient, JobRequest

JSON = Any
PATIENCE = 600.0
PARTS = ("server", "enclave", "agents")


def measure(
    agents: int, parameters: int, rounds: int, protection: Protection, hosts: int, nice: int
) -> dict[str, JSON]:
    """Run one rehearsal with so many agents and return its figures."""
    owners = {f"party-{n:03d}": f"Party {n}" for n in range(agents)}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        hosted = Hosted(Path(folder) / "platform", owners, hosts=hosts, nice=nice)
        with hosted:
            hosted.build()
            built = time.monotonic() - began
            row = _rehearse(hosted, _request(hosted, parameters, rounds, protection))
    return {"agents": agents, **row, "build_seconds": round(built, 1)}


def _request(hosted: Hosted, parameters: int, rounds: int, protection: Protection) -> JobRequest:
    return JobRequest(
        project=hosted.project,
        name="scale",
        purpose="rehearsal",
        datasets=(),
        parties=tuple(hosted.parties),
        model=ModelSpec(family="rehearsal", parameters=parameters),
        plan=TrainingPlan(rounds=rounds, validation=0.0),
        # Parties of a rehearsal weigh 1 each: masked sums then fit Z_2^32.
        limits=Limits(patience_seconds=PATIENCE, max_weight=1),
        protection=protection,
    )


def _rehearse(hosted: Hosted, request: JobRequest) -> dict[str, JSON]:
    first, last = next(iter(hosted.parties)), list(hosted.parties)[-1]
    with hosted.client(first) as client:
        before, wire, began = _usage(hosted), loopback_bytes(), time.monotonic()
        job = client.jobs.submit(request).id
        probes = asyncio.run(_probe(hosted, last, job))
        client.jobs.wait(job)
        took = time.monotonic() - began
        used = {name: now.since(before[name]) for name, now in _usage(hosted).items()}
        wire = loopback_bytes() - wire
        report = client.jobs.report(job)
    seconds = [row["seconds"] for row in report["history"]]
    pids = {name: process.pid for name, process in hosted.processes.items()}
    return {
        "rounds": len(seconds),
        "seconds_per_round": round(statistics.median(seconds), 3),
        "setup_and_end_seconds": round(took - sum(seconds), 2),
        "control": {"rest": probes.rest.as_json(), "link": probes.link.as_json()},
        "peak_mb": {name: round(peak_mb(pids[name])) for name in ("server", "enclave")},
        "hosts_peak_mb": round(sum(peak_mb(pids[name]) for name in hosted.crowds)),
        "cpu_seconds": {part: round(_cpu(used, part), 2) for part in PARTS},
        "loop": {name: _loop(used[name]) for name in ("server", "enclave")},
        "wire_mb": round(wire / (1 << 20), 1),
        "job_seconds": round(took, 1),
        "load_average": [round(one, 1) for one in os.getloadavg()],
    }


async def _probe(hosted: Hosted, party: str, job: str) -> Probes:
    owner = hosted.parties[party]
    async with AsyncClient(hosted.url, ca=hosted.ca) as client:
        await client.login(owner.party, owner.password)
        probes = Probes(client, owner.config, job)
        await probes.run()
    return probes


def _usage(hosted: Hosted) -> dict[str, Usage]:
    return {name: usage(process.pid) for name, process in hosted.processes.items()}


def _cpu(used: Mapping[str, Usage], part: str) -> float:
    agents = (one.cpu for name, one in used.items() if name not in PARTS)
    return sum(agents) if part == "agents" else used[part].cpu


def _loop(used: Usage) -> dict[str, float]:
    return {"cpu_seconds": round(used.loop, 2), "delay_seconds": round(used.delay, 2)}


def explain(rows: Sequence[Mapping[str, JSON]]) -> dict[str, JSON]:
    """Return the exponent k of N^k with which each figure grows, fitted over the sizes."""
    figures = {
        "seconds_per_round": [row["seconds_per_round"] for row in rows],
        "wire_mb": [row["wire_mb"] for row in rows],
        **{f"{part}_cpu": [row["cpu_seconds"][part] for row in rows] for part in PARTS},
        **{f"{name}_peak_mb": [row["peak_mb"][name] for row in rows] for name in PARTS[:2]},
        "rest_p95_ms": [row["control"]["rest"]["p95_ms"] for row in rows],
        "link_p95_ms": [row["control"]["link"]["p95_ms"] for row in rows],
    }
    sizes = [row["agents"] for row in rows]
    return {name: exponent(sizes, values) for name, values in figures.items()}


def exponent(sizes: Sequence[int], values: Sequence[float | None]) -> float | None:
    """Return the slope of log(value) over log(size) by least squares; None without two points."""
    points = [(math.log(n), math.log(v)) for n, v in zip(sizes, values, strict=True) if v]
    if len({x for x, _ in points}) < 2:
        return None
    slope, _ = statistics.linear_regression(*zip(*points, strict=True))
    return round(slope, 2)


def main() -> None:
    """Parse arguments, measure each size, print JSON as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--parameters", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hosts", type=int, default=2, help="processes that host the agents")
    parser.add_argument("--nice", type=int, default=10, help="how far the agents step back")
    choices = ["sealed", "secagg", "sealed+secagg"]
    parser.add_argument("--protection", choices=choices, default="sealed")
    given = parser.parse_args()
    rows = []
    for agents in given.agents:
        row = measure(
            agents, given.parameters, given.rounds, given.protection, given.hosts, given.nice
        )
        rows.append(row)
        sys.stderr.write(json.dumps(row) + "\n")
    result = {
        "parameters": given.parameters,
        "protection": given.protection,
        "load_nice": given.nice,
        "cores": os.cpu_count(),
        "curve": rows,
        "explanation": explain(rows),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
