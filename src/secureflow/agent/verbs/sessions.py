"""This party's masked sessions: one client of `sf-secagg-1` per job and stage, durable.

A client's state is in the record before any of its messages is sent; the copy in memory is dropped
when a request fails, so that the record is always authoritative. A session that was ever in the
record is never begun again.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from secureflow.agent.job.context import AgentContext
from secureflow.agent.record.going import check_going
from secureflow.agent.record.records import JobRecord
from secureflow.domain.specs.base import JobSpec
from secureflow.engines.secagg import SecAggClient
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class Sessions:
    """The clients of all running masked jobs."""

    def __init__(self, context: AgentContext) -> None:
        self._context = context
        self._clients: dict[tuple[str, str], SecAggClient] = {}
        self._vectors: dict[str, NDArray[np.uint8]] = {}

    def begin(self, job: JobRecord, spec: JobSpec) -> dict[str, SecAggClient]:
        """Return a client for each stage, new ones if the record holds none."""
        held = {
            stage: self._restored(job, spec, stage) or self._fresh(job, spec, stage)
            for stage in self._context.kinds.of(spec).masked_stages(spec)
        }
        self._clients |= {(job.job, stage): client for stage, client in held.items()}
        return held

    def client(self, job: JobRecord, spec: JobSpec, stage: str) -> SecAggClient:
        """Return the client of a stage.

        Raises:
            SecureFlowError: `not_set_up`, `state_unreadable`.
        """
        client = self._clients.get((job.job, stage)) or self._restored(job, spec, stage)
        if client is None:
            raise SecureFlowError(
                "not_set_up",
                Text(
                    "{party} has no keys for {stage!r} of {job}.",
                    party=self._context.party,
                    stage=stage,
                    job=job.job,
                ),
                "The centre must ask for `setup` first.",
            )
        self._clients[job.job, stage] = client
        return client

    def save(self, job: str, stages: Iterable[str]) -> None:
        """Put clients' states into the record; the caller holds the transaction.

        Raises:
            SecureFlowError: those of `check_going`: a stopped job gets no secrets again.
        """
        check_going(self._context.store.job(job))
        for stage in stages:
            state = self._clients[job, stage].export_state()
            self._context.store.keep_session(job, stage, state)

    def vector(self, job: str, size: int) -> NDArray[np.uint8]:
        """Return the job's buffer for masked vectors, made once: fresh pages are slow."""
        buffer = self._vectors.get(job)
        if buffer is None or len(buffer) < size:
            buffer = self._vectors[job] = np.empty(size, np.uint8)
        return buffer[:size]

    def drop(self, job: str) -> None:
        """Drop the copy in memory; the record is authoritative.

        The buffer too: the thread of a withdrawn request may still write into it.
        """
        for key in [key for key in self._clients if key[0] == job]:
            del self._clients[key]
        self._vectors.pop(job, None)

    def forget(self, job: str) -> None:
        """Forget the job; the caller holds the transaction."""
        self.drop(job)
        self._context.store.forget_sessions(job)

    def _fresh(self, job: JobRecord, spec: JobSpec, stage: str) -> SecAggClient:
        plan = self._context.kinds.of(spec).masked_plan(spec, job.job, job.digest, stage)
        context = self._context
        return SecAggClient(plan, context.party, context.key, least=spec.min_contributors)

    def _restored(self, job: JobRecord, spec: JobSpec, stage: str) -> SecAggClient | None:
        state = self._context.store.session(job.job, stage)
        if state is None:
            return None
        plan = self._context.kinds.of(spec).masked_plan(spec, job.job, job.digest, stage)
        context = self._context
        return SecAggClient.restore(
            plan, context.party, context.key, state, least=spec.min_contributors
        )
