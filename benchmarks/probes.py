"""Control calls while rounds run: how long the centre lets a small request wait.

Two callers, each with its own connection, call ten times a second: a member's client reads the job
over REST, and a party asks for the log's newest head over its agent's link (the same channel,
certificate and checks as its agent's calls). Both run in a process of their own, so that the work
of the crowd's interpreters is not counted as the centre's.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from secureflow.adapters.link import CredentialFiles, Link
from secureflow.agent.settings import AgentSettings
from secureflow.domain.jobs import JobState
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import system_clock
from secureflow.sdk import AsyncClient

PERIOD = 0.1


@dataclass
class Latencies:
    """How long calls took, in seconds; those before the first round apart."""

    before: list[float] = field(default_factory=list)
    rounds: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, JSON]:
        """Return the percentiles of the calls during rounds, and the worst one before them."""
        ordered = sorted(self.rounds)
        return {
            "calls": len(ordered),
            **{f"p{percent}_ms": _percentile(ordered, percent) for percent in (50, 95, 99)},
            "max_ms": _percentile(ordered, 100),
            "calls_before": len(self.before),
            "p95_before_ms": _percentile(sorted(self.before), 95),
            "max_before_ms": _percentile(sorted(self.before), 100),
        }


class Probes:
    """The callers of one job.

    Args:
        client: a logged-in client of a member.
        config: the agent's configuration whose link is called.
        job: the job that is read; the rounds begin when it runs.
        begun: called when that was seen.
    """

    def __init__(
        self, client: AsyncClient, config: Path, job: str, begun: Callable[[], None]
    ) -> None:
        self._client = client
        self._settings = AgentSettings.load(config)
        self._job = job
        self._tell_begun = begun
        self._begun = False
        self._ended = False
        self.rest, self.link = Latencies(), Latencies()

    async def run(self) -> None:
        """Call until the job has ended."""
        link = Link(
            self._settings.link,
            CredentialFiles(self._settings.directory),
            dict,
            _answers_nothing,
            clock=system_clock,
        )
        try:
            await asyncio.gather(
                self._repeat(self.rest, self._read_job),
                self._repeat(self.link, lambda: link.call("audit.head", {"from": 0})),
            )
        finally:
            await link.close()

    async def _read_job(self) -> None:
        job = await self._client.jobs.get(self._job)
        self._ended = job.state.final
        if not self._begun and (self._ended or job.state == JobState.RUNNING):
            self._begun = True
            self._tell_begun()

    async def _repeat(self, into: Latencies, call: Callable[[], Awaitable[JSON]]) -> None:
        await call()  # connections are made by the first one
        while not self._ended:
            began = time.perf_counter()
            await call()
            (into.rounds if self._begun else into.before).append(time.perf_counter() - began)
            await asyncio.sleep(PERIOD)


async def _answers_nothing(verb: str, body: dict[str, JSON], log_proofs: JSON) -> JSON:
    raise AssertionError(verb, body, log_proofs)  # the link never runs, it only calls


def _percentile(ordered: list[float], percent: int) -> float | None:
    """Return the nearest-rank percentile in milliseconds."""
    if not ordered:
        return None
    rank = max(1, math.ceil(len(ordered) * percent / 100))
    return round(1000 * ordered[rank - 1], 1)
