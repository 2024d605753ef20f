"""What a whole round costs with everything on, beside a bare loop in the same run.

`python -m benchmarks.round_overhead --mb 25 --clients 3` starts a real platform (server, enclave,
agents as processes over mTLS), trains a *rehearsal* (no-op trainer) of that many MB of float32
parameters that every round changes, so that each travels in both directions, and prints one JSON
object as its last line. The bare loop (`benchmarks.floor`) moves the same bytes with grpc.aio,
AES-GCM in 1 MiB chunks and a fold in place, and does nothing else.

`--anchor none file evm away` runs the same job once for each, in turns (`--turns`), and adds what a
round took by where the agents anchor: nowhere, in a file of one of them, on a chain of this
machine, or at a place that answers nobody for the whole job.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.floor import floor_seconds
from benchmarks.processes import cpu_seconds, loopback_bytes, peak_mb, status_kb
from secureflow.agent import api
from secureflow.demo.anchoring import DemoAnchors
from secureflow.demo.platform import HOST, Platform, edit, free_ports
from secureflow.demo.play import consent, verify_ledger
from secureflow.domain.specs.training import ModelSpec, TrainingPlan
from secureflow.domain.specs.updatelimits import Limits
from secureflow.kit.crypto import SigningKey
from secureflow.sdk import TrainingRequest

WARM_UP = 2
STEP = 2.0**-16
"""What a round adds to each parameter: a model that stays as it was is not fetched again."""


def measure(
    mb: int, clients: int, rounds: int, protection: str, anchor: str = "none"
) -> dict[str, Any]:
    """Run the platform and the bare loop, and return the figures."""
    owners = {f"bank-{chr(97 + n)}": f"Bank {chr(65 + n)}" for n in range(clients)}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        platform = Platform(Path(folder) / "platform", owners, settings=_settings(mb))
        _anchor(platform, anchor, stack, Path(folder) / "npm")
        with platform:
            platform.build()
            report, figures = _train_noop(platform, mb, rounds, protection)
            bundle = _bundle(platform, report["job"])
            ledger = verify_ledger(platform, bundle)
            figures["resting_rss_mb"] = _resting(platform)
            figures |= _at_places(platform, anchor)
    steady = [row["seconds"] for row in report["history"][WARM_UP:]]
    floor = floor_seconds(mb, clients, max(4, rounds // 2))
    certificates = sum(1 for e in bundle["entries"] if "certificate" in (e.get("document") or {}))
    return {
        "mb": mb,
        "clients": clients,
        "protection": protection,
        "seconds_per_round": round(statistics.median(steady), 4),
        "floor_seconds": round(floor, 4),
        "ratio": round(statistics.median(steady) / floor, 2),
        "rounds": len(report["history"]),
        **figures,
        "synchronous": "FULL",
        "ledger_verified": ledger["verified"],
        "cosigners": ledger["cosigners"],
        "certificates": certificates,
    }


def _anchor(platform: Platform, anchor: str, stack: contextlib.ExitStack, npm: Path) -> None:
    """Let the agents anchor somewhere; `away` is a keeper's address at which nobody listens."""
    if anchor == "away":
        platform.enrolled = _nobody_listens
    elif anchor != "none":
        anchors = DemoAnchors("file" if anchor == "file" else "evm", stack, npm)
        platform.enrolled, platform.chartered = anchors.before_start, anchors.after_charter


def _nobody_listens(platform: Platform) -> None:
    first, (port,) = next(iter(platform.parties.values())), free_ports(1)
    key = SigningKey.load(first.directory / "signing.key").public
    place = {"name": "away", "make": "file", "url": f"http://{HOST}:{port}", "keeper": key}
    for owner in platform.parties.values():
        edit(owner.config, {"anchors": [place]})


def _at_places(platform: Platform, anchor: str) -> dict[str, int]:
    """Return how many entries the agents made, and how many are still on their way."""
    if anchor == "none":
        return {}
    owners = list(platform.parties.values())
    told = [api.anchor_list(one.config, limit=10_000) for one in owners]
    return {
        "entries": sum(len(one["entries"]) for one in told),
        "waiting": sum(place["waiting"] for one in told for place in one["places"]),
    }


def _settings(mb: int) -> dict[str, Any]:
    return {"server": {"max_artifact_bytes": max(1 << 20, 4 * mb << 20)}}


def _train_noop(
    platform: Platform, mb: int, rounds: int, protection: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    party = next(iter(platform.parties))
    request = TrainingRequest(
        project=platform.project,
        name="rehearsal",
        purpose="rehearsal",
        datasets=(),
        parties=tuple(platform.parties),
        model=ModelSpec("rehearsal", parameters=mb * (1 << 20) // 4, step=STEP),
        plan=TrainingPlan(rounds=rounds + WARM_UP, validation=0.0),
        # Parties of a rehearsal weigh 1 each: masked sums then fit Z_2^32.
        limits=Limits(max_weight=1),
        protection=protection,  # type: ignore[arg-type]  # argparse checked the choice
    )
    with platform.client(party) as client:
        job = client.jobs.submit(request).id
        consent(platform, job)
        cpu, wire, began = _cpu_seconds(platform), loopback_bytes(), time.perf_counter()
        client.jobs.wait(job)
        report = client.jobs.report(job)
    pids = {name: process.pid for name, process in platform.processes.items()}
    return report, {
        "job_seconds": round(time.perf_counter() - began, 2),
        "cpu_seconds": round(_cpu_seconds(platform) - cpu, 2),
        "wire_mb": round((loopback_bytes() - wire) / (1 << 20), 1),
        "server_enclave_rss_mb": round(peak_mb(pids["server"]) + peak_mb(pids["enclave"])),
    }


def _cpu_seconds(platform: Platform) -> float:
    return sum(cpu_seconds(process.pid) for process in platform.processes.values())


def _bundle(platform: Platform, job: str) -> dict[str, Any]:
    with platform.client(next(iter(platform.parties))) as client:
        return client.jobs.bundle(job)


def _resting(platform: Platform) -> dict[str, int]:
    """Return the resident MB of each process after the job (an agent without its worker)."""
    return {
        name: round(status_kb(process.pid, "VmRSS") / 1024)
        for name, process in platform.processes.items()
    }


def main() -> None:
    """Parse arguments, measure, print JSON as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=1)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=10)
    choices = ["sealed", "secagg", "sealed+secagg"]
    parser.add_argument("--protection", choices=choices, default="sealed")
    places = ["none", "file", "evm", "away"]
    parser.add_argument("--anchor", nargs="+", choices=places, default=["none"])
    parser.add_argument("--turns", type=int, default=1)
    given = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(given.turns):
        for anchor in given.anchor:
            asked = given.mb, given.clients, given.rounds, given.protection, anchor
            found.setdefault(anchor, []).append(figures := measure(*asked))
            sys.stdout.write(json.dumps({"anchor": anchor, **figures}) + "\n")
    if len(given.anchor) > 1:
        sys.stdout.write(json.dumps({"anchored": _compared(found)}) + "\n")


def _compared(found: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return by place the fastest turn's median round, and the entries of the last turn."""
    return {
        anchor: {
            "seconds_per_round": min(one["seconds_per_round"] for one in turns),
            "turns": [one["seconds_per_round"] for one in turns],
            **{key: turns[-1][key] for key in ("entries", "waiting") if key in turns[-1]},
        }
        for anchor, turns in found.items()
    }


if __name__ == "__main__":
    main()
