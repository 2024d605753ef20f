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
import functools
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import getitem
from pathlib import Path

from benchmarks.hosted import Hosted
from benchmarks.probes import Probes
from benchmarks.processes import Usage, peak_mb, usage
from benchmarks.wire import carried
from secureflow.domain.specs.protections import ProtectionName
from secureflow.domain.specs.training import ModelSpec, TrainingPlan
from secureflow.domain.specs.updatelimits import Limits
from secureflow.kit.canonical import JSON
from secureflow.sdk import AsyncClient, TrainingRequest

PATIENCE = 600.0
PARTS = ("server", "enclave", "agents")


def measure(
    agents: int, parameters: int, rounds: int, protection: ProtectionName, hosts: int, nice: int
) -> dict[str, JSON]:
    """Run one rehearsal with so many agents and return its figures."""
    owners = {f"party-{n:03d}": f"Party {n}" for n in range(agents)}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        hosted = Hosted(Path(folder) / "platform", owners, hosts=hosts, nice=nice)
        with hosted:
            hosted.build()
            built = time.monotonic() - began
            row = _train_noop(hosted, _request(hosted, parameters, rounds, protection))
    return {"agents": agents, **row, "build_seconds": round(built, 1)}


def _request(
    hosted: Hosted, parameters: int, rounds: int, protection: ProtectionName
) -> TrainingRequest:
    return TrainingRequest(
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


def _train_noop(hosted: Hosted, request: TrainingRequest) -> dict[str, JSON]:
    first, last = next(iter(hosted.parties)), list(hosted.parties)[-1]
    with hosted.client(first) as client:
        taken, broken = [_taken(hosted)], hosted.broken_links()
        job = client.jobs.submit(request).id
        probes = asyncio.run(_probe(hosted, last, job, lambda: taken.append(_taken(hosted))))
        client.jobs.wait(job)
        taken.append(_taken(hosted))
        report = client.jobs.report(job)
    seconds = [row["seconds"] for row in report["history"]]
    start, begin, end = taken
    pids = {name: process.pid for name, process in hosted.processes.items()}
    return {
        "rounds": len(seconds),
        "seconds_per_round": round(statistics.median(seconds), 3),
        "control": {"rest": probes.rest.as_json(), "link": probes.link.as_json()},
        "peak_mb": {name: round(peak_mb(pids[name])) for name in ("server", "enclave")},
        "hosts_peak_mb": round(sum(peak_mb(pids[name]) for name in hosted.crowds)),
        "setup": begin.since(start, 1),
        "per_round": end.since(begin, len(seconds)),
        "links_broken": hosted.broken_links() - broken,
        "hosts": len(hosted.crowds),
        "load_average": [round(one, 1) for one in os.getloadavg()],
    }


async def _probe(hosted: Hosted, party: str, job: str, begun: Callable[[], None]) -> Probes:
    owner = hosted.parties[party]
    async with AsyncClient(hosted.url, ca=hosted.ca) as client:
        await client.login(owner.party, owner.password)
        probes = Probes(client, owner.config, job, begun)
        await probes.run()
    return probes


@dataclass(frozen=True)
class Taken:
    """What was used until one moment."""

    at: float
    wire: int
    used: Mapping[str, Usage]

    def since(self, before: Taken, rounds: int) -> dict[str, JSON]:
        """Return what was used since then: by whom, and for each of so many rounds."""
        used = {name: now.since(before.used[name]) for name, now in self.used.items()}
        agents = sum(one.cpu for name, one in used.items() if name not in PARTS)
        cpu = {"server": used["server"].cpu, "enclave": used["enclave"].cpu, "agents": agents}
        return {
            "seconds": round((self.at - before.at) / rounds, 3),
            "cpu_seconds": {part: round(one / rounds, 3) for part, one in cpu.items()},
            # The server's event loop: at work, and kept from its work by other processes.
            "loop_seconds": round(used["server"].loop / rounds, 3),
            "loop_delay_seconds": round(used["server"].delay / rounds, 3),
            "wire_mb": round((self.wire - before.wire) / (1 << 20) / rounds, 2),
        }


def _taken(hosted: Hosted) -> Taken:
    used = {name: usage(process.pid) for name, process in hosted.processes.items()}
    return Taken(time.monotonic(), carried(hosted.ports()), used)


def explain(rows: Sequence[Mapping[str, JSON]]) -> dict[str, JSON]:
    """Say how each figure grows: the k of N^k, fitted over the sizes, and its share at the largest.

    A round is everything from the first one's begin to the job's end, divided by the rounds.
    """
    places: dict[str, tuple[str, ...]] = {
        "seconds_per_round": ("seconds_per_round",),
        "server_peak_mb": ("peak_mb", "server"),
        "enclave_peak_mb": ("peak_mb", "enclave"),
        "rest_p95_ms": ("control", "rest", "p95_ms"),
        "link_p95_ms": ("control", "link", "p95_ms"),
    }
    for phase in ("setup", "per_round"):
        places[f"{phase}_wire_mb"] = (phase, "wire_mb")
        places |= {f"{phase}_{part}_cpu": (phase, "cpu_seconds", part) for part in PARTS}
    sizes = [row["agents"] for row in rows]
    found = {
        name: _growth(sizes, [_figure(row, place) for row in rows])
        for name, place in places.items()
    }
    return {**found, "in_words": _in_words(rows, found)}


def _figure(row: JSON, place: Sequence[str]) -> float | None:
    found: float | None = functools.reduce(getitem, place, row)
    return found


def _growth(sizes: Sequence[int], values: Sequence[float | None]) -> dict[str, float | None]:
    """Return N^`exponent`, and the slope in units per agent."""
    points = [(n, v) for n, v in zip(sizes, values, strict=True) if v]
    slope = None
    if len({n for n, _ in points}) > 1:
        slope = round(statistics.linear_regression(*zip(*points, strict=True)).slope, 4)
    return {"exponent": exponent(sizes, values), "per_agent": slope}


def exponent(sizes: Sequence[int], values: Sequence[float | None]) -> float | None:
    """Return the slope of log(value) over log(size) by least squares; None without two points."""
    points = [(math.log(n), math.log(v)) for n, v in zip(sizes, values, strict=True) if v]
    if len({x for x, _ in points}) < 2:
        return None
    return round(statistics.linear_regression(*zip(*points, strict=True)).slope, 2)


def _in_words(rows: Sequence[Mapping[str, JSON]], found: Mapping[str, JSON]) -> list[str]:
    """Return a sentence for each part that uses the processor, the largest share first."""
    if not rows:
        return []
    words, last = [], max(rows, key=lambda row: int(row["agents"]))
    for phase in ("per_round", "setup"):
        cpu = last[phase]["cpu_seconds"]
        total = sum(cpu.values()) or 1.0
        for part in sorted(PARTS, key=lambda part: -cpu[part]):
            grows = found[f"{phase}_{part}_cpu"]["exponent"]
            words.append(
                f"{phase}: {part} {cpu[part]:.2f} CPU s at {last['agents']} agents, "
                f"{100 * cpu[part] / total:.0f} % of all, growing as N^{grows}"
            )
    return words


def main() -> None:
    """Parse arguments, measure each size, print JSON as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--parameters", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hosts", type=int, default=0, help="processes for the agents")
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
