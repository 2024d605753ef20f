"""A job on an engine through the whole platform, for `benchmarks.psi` and `benchmarks.mpc`.

Centre and agents are processes of their own, workers and engines run in the sandbox. `seconds` are
those of the report: from the first request to enter an attempt to the last party's answer, that is
reading, committing, opening channels, computing, and writing the result. Bytes are the content of
all channels, and the peak is that of the engine's process that needed most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secureflow.demo.platform import Platform
from secureflow.demo.psi.engines import EngineName, Shelf, place
from secureflow.demo.words import Words
from secureflow.domain.schemas import DatasetConfig

PURPOSE = "benchmark"


@dataclass(frozen=True)
class Figures:
    """What a job took.

    Args:
        seconds: of its attempts.
        bytes: over all channels, both directions.
        peak: bytes of memory of the engine's process that needed most.
    """

    seconds: float
    bytes: int
    peak: int


class Lending(Platform):
    """A platform whose agents have an engine from their start."""

    engine: EngineName = "spu"

    def _start_agents(self) -> None:
        shelf = Shelf(place(), Words(), print)
        for owner in self.parties.values():
            shelf.lend(self.engine, owner.directory)
        super()._start_agents()


def run_through(
    folder: Path,
    engine: EngineName,
    datasets: Mapping[str, DatasetConfig | None],
    policy: str,
    asked: Mapping[str, Any],
    told: str,
) -> Figures:
    """Run a job on a platform of its own.

    Args:
        folder: an empty one.
        engine: the one that it needs, installed in the demo's place.
        datasets: party → what it brings; None of a party that only computes along.
        policy: every owner's, which must be written about such jobs.
        asked: the job as it is submitted, but for project, purpose and datasets.
        told: the part of the report that has the figures.
    """
    owners = {party: party.title() for party in datasets}
    brought = {party: one for party, one in datasets.items() if one is not None}
    with Lending(
        folder / "platform", owners, brought, policy=policy, purpose=PURPOSE, sealing=False
    ) as platform:
        platform.engine = engine
        platform.build()
        ids = [platform.parties[party].dataset_id for party in brought]
        request = {"name": "benchmark", "purpose": PURPOSE, "project": platform.project,
                   "datasets": ids, **asked}  # fmt: skip
        with platform.client(next(iter(owners))) as client:
            job = client.jobs.wait(client.jobs.submit(request).id)
            if job.state != "succeeded":
                raise SystemExit(f"{asked}: {job.error}")
            found = client.jobs.report(job.id)[told]
    carried = sum(one["bytes"] for one in found["channels"])
    return Figures(float(found["seconds"]), carried, max(found["peak"].values()))
