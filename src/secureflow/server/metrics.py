"""Prometheus metrics on a registry of their own: counts and sizes, no personal names or data."""

from __future__ import annotations

import collections
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from secureflow.application.listing import list_readable
from secureflow.application.ports.courier import Courier
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.domain.jobs import Job, JobState
from secureflow.engines.ledger.notes import parse_note

_OPEN = tuple(state for state in JobState if not state.final)
MOST_CHANGED: Final = 10_000
"""Changed jobs remembered between two scrapes; if there were more, all are counted again."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The server's metrics.

    Events are counted as they happen. The unfinished jobs are read once, at the first scrape; after
    that a scrape reads only the jobs that have changed since the one before.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._unfinished: dict[str, tuple[JobState, int]] | None = None
        self._changed: set[str] = set()
        self.requests = Counter(
            "secureflow_http_requests_total",
            "REST requests by operation and status",
            ("operation", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "secureflow_http_request_seconds",
            "Seconds until a REST answer began",
            ("operation",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._jobs = Gauge(
            "secureflow_jobs", "Unfinished jobs by state", ("state",), registry=self._registry
        )
        self._rounds = Gauge(
            "secureflow_job_rounds", "Closed rounds of unfinished jobs", registry=self._registry
        )
        self._parties = Gauge(
            "secureflow_parties_connected", "Parties with an open link", registry=self._registry
        )
        self._ledger = Gauge(
            "secureflow_ledger_size", "Leaves in the newest checkpoint", registry=self._registry
        )

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Count one REST request."""
        self.requests.labels(operation, str(status)).inc()
        self.seconds.labels(operation).observe(seconds)

    def job_changed(self, job: str) -> None:
        """Note that a job is new or has changed."""
        self._changed.add(job)
        if len(self._changed) > MOST_CHANGED:
            self._unfinished = None
            self._changed.clear()

    async def render(self, begin: UnitOfWorkFactory, courier: Courier, ledger: Ledger) -> bytes:
        """Return the exposition text (version 0.0.4)."""
        unfinished = await self._jobs_now(begin)
        states = collections.Counter(state for state, _ in unfinished.values())
        for state in _OPEN:
            self._jobs.labels(state.value).set(states[state])
        self._rounds.set(sum(rounds for _, rounds in unfinished.values()))
        self._parties.set(courier.connected)
        self._ledger.set(parse_note(await ledger.head()).checkpoint.size)
        return generate_latest(self._registry)

    async def _jobs_now(self, begin: UnitOfWorkFactory) -> dict[str, tuple[JobState, int]]:
        changed, self._changed = self._changed, set()
        before, self._unfinished = self._unfinished, None  # still set if reading fails
        async with begin() as work:
            if before is None:
                jobs = await list_readable(work.jobs, state=[state.value for state in _OPEN])
            else:
                found = [await work.jobs.find(job) for job in sorted(changed)]
                jobs = [job for job in found if job is not None]
        unfinished = before or {}
        for job in jobs:
            if job.state.final:
                unfinished.pop(job.id, None)
            else:
                unfinished[job.id] = (job.state, _round(job))
        self._unfinished = unfinished
        return unfinished


def _round(job: Job) -> int:
    value = job.progress.get("round")
    return value if isinstance(value, int) else 0
