"""Prometheus metrics on a registry of their own: counts and sizes, no names of people or data."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from secureflow.application.listing import every
from secureflow.application.ports import Begin, Courier, Ledger
from secureflow.domain.jobs import JobState
from secureflow.engines.ledger.notes import parse_note

_OPEN = tuple(state for state in JobState if not state.final)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The server's metrics.

    Requests are counted as they happen; what the database knows is read when somebody asks.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
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

    async def render(self, begin: Begin, courier: Courier, ledger: Ledger) -> bytes:
        """Return the exposition text (version 0.0.4)."""
        async with begin() as work:
            jobs = await every(work.jobs, state=[state.value for state in _OPEN])
            parties = {agent.party for agent in await every(work.agents) if agent.revoked is None}
        self._count_jobs([job.state for job in jobs])
        self._rounds.set(sum(_round(job.progress.get("round")) for job in jobs))
        self._parties.set(sum(courier.status(party).connected for party in parties))
        self._ledger.set(parse_note(await ledger.head()).checkpoint.size)
        return generate_latest(self._registry)

    def _count_jobs(self, states: Sequence[JobState]) -> None:
        for state in _OPEN:
            self._jobs.labels(state.value).set(states.count(state))


def _round(value: object) -> int:
    return value if isinstance(value, int) else 0
