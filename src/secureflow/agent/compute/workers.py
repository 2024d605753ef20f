"""The agent's workers: one warm child process per job, restarted when it dies.

Every request is a pure function of files and arguments, so a request whose worker died is simply
repeated: once, in a new process that is prepared like the old one. pyarrow is never imported here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secureflow.agent.compute.worker_process import (
    Views,
    WorkerConfig,
    WorkerDied,
    WorkerProcess,
    views,
)
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dump
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

__all__ = ["WorkerConfig", "Workers", "not_prepared"]

NO_SALT = "00" * 32
"""For a preparation whose commitment is not compared."""


@dataclass
class _Job:
    """Everything needed to start a new process for a job, prepared like the last one."""

    preparation: dict[str, Any]
    lock: asyncio.Lock
    process: WorkerProcess | None = None
    seen: Views | None = None
    prepared: dict[str, Any] | None = None


class Workers:
    """Local computation for an agent: `await Workers.start(config)`, then per job prepare … close.

    Jobs of every kind use the same interface: a step's arguments and result are defined by the kind
    (`agent.compute.kind`). Jobs run concurrently, each one request at a time. Cancelling a
    request ends its process; the next request starts another.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._jobs: dict[str, _Job] = {}

    @classmethod
    async def start(cls, config: WorkerConfig | None = None) -> Workers:
        """Return the workers; a job's process starts with its first request."""
        return cls(config or WorkerConfig())

    @property
    def config(self) -> WorkerConfig:
        """Where and how they run."""
        return self._config

    async def describe(
        self, dataset: DatasetConfig, salt: bytes, known: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        """Read a whole dataset against its declaration, in a separate process.

        Args:
            dataset: its declaration.
            salt: 32 fresh bytes.
            known: salt and commitment (hex) of an earlier publication, kept if the file is
                unchanged.

        Returns:
            `name`, `columns` (public schema), `rows`, `bucket`, `salt` and `commitment` (hex).
            `rows` and `salt` are for the owner; a description shows the bucket.

        Raises:
            SecureFlowError: `schema_mismatch` and the other refusals of `DataSource.read`;
                `dataset_changed` while it was read; `worker_died`.
        """
        arguments = {"dataset": dump(dataset), "salt": salt.hex(), "known": known and list(known)}
        for _ in range(2):
            seen = views(self._config, dataset=dataset.path)
            process = await WorkerProcess.start(self._config, seen)
            try:
                return await process.request("describe", arguments)
            except WorkerDied:
                continue
            finally:
                await process.kill()
        raise _died("describe")

    async def check(self, job: str, spec: Mapping[str, Any], dataset: DatasetConfig | None) -> None:
        """Refuse what can be decided from spec, declaration and the file's columns, without rows.

        Raises:
            SecureFlowError: `schema_mismatch` naming the column, `dataset_unreadable`,
                `library_missing`; `worker_died`.
        """
        arguments = {
            "job": job,
            "spec": dict(spec),
            "dataset": None if dataset is None else dump(dataset),
        }
        self._jobs.setdefault(job, _Job({**arguments, "salt": NO_SALT}, asyncio.Lock()))
        try:
            await self._ask(job, "check", arguments)
        except SecureFlowError:
            await self.close(job)
            raise

    async def prepare(
        self,
        job: str,
        spec: Mapping[str, Any],
        dataset: DatasetConfig | None,
        salt: bytes | None = None,
        commitment: str = "",
    ) -> dict[str, Any]:
        """Read the columns that the spec names and check every row; repeating it reads again.

        Args:
            job: job id.
            spec: the job's spec.
            dataset: the declaration, None if the job reads no rows.
            salt: of the commitment, 32 bytes.
            commitment: hex; a file with another one is refused, now and whenever a new process
                has to read it again. Empty: nothing is compared.

        Returns:
            `rows` and `validation` (row counts) and the file's `commitment` under the salt.

        Raises:
            SecureFlowError: what is wrong with spec, file or row; the job is then not prepared.
        """
        arguments = {
            "job": job,
            "spec": dict(spec),
            "dataset": None if dataset is None else dump(dataset),
            "salt": salt.hex() if salt else NO_SALT,
            "commitment": commitment,
        }
        entry = self._jobs.setdefault(job, _Job(arguments, asyncio.Lock()))
        entry.preparation, entry.prepared = arguments, None
        try:
            entry.prepared = await self._ask(job, "prepare", arguments)
        except SecureFlowError:
            await self.close(job)
            raise
        return entry.prepared

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, JSON] | None = None
    ) -> dict[str, Any]:
        """Return the `sums` of a step of the job's kind, and the `seconds` that they took.

        A step whose worker died is repeated. So it must write nothing that its repetition would not
        overwrite; a result that differs each time, as noise does, was seen by nobody.

        Args:
            job: a prepared job.
            step: one of the steps of the job's kind (`WorkerKind.steps`).
            arguments: of the step, as defined by the kind's own module in `agent.compute`.
        """
        return await self._ask(job, step, {"job": job, **(arguments or {})})

    async def close(self, job: str) -> None:
        """End the job's worker, and its rows in memory with it."""
        entry = self._jobs.pop(job, None)
        if entry is not None and entry.process is not None:
            await entry.process.kill()

    async def stop(self) -> None:
        """End every worker."""
        for job in list(self._jobs):
            await self.close(job)

    def pids(self) -> dict[str, int]:
        """Return the process id of each job's worker, for monitoring."""
        return {job: e.process.pid for job, e in self._jobs.items() if e.process is not None}

    def printed(self, job: str) -> bytes:
        """Return the end of what a job's worker printed, for the owner alone."""
        entry = self._jobs.get(job)
        return b"" if entry is None or entry.process is None else entry.process.printed

    async def _ask(self, job: str, verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        entry = self._jobs.get(job)
        if entry is None:
            raise not_prepared(job)
        async with entry.lock:
            for _ in range(2):
                try:
                    process = await self._running(job, entry, verb)
                    return await process.request(verb, arguments)
                except WorkerDied:
                    entry.process = None
        raise _died(verb)

    async def _running(self, job: str, entry: _Job, verb: str) -> WorkerProcess:
        """Return the job's process, a new one if necessary, prepared like the last one.

        A confined process sees the files that were there when it started: it makes room for a new
        one when another file is in a place.
        """
        dataset = entry.preparation["dataset"]
        seen = views(self._config, job, "" if dataset is None else dataset["path"])
        if entry.process is not None and entry.seen != seen:
            await entry.process.kill()
            entry.process = None
        if entry.process is None:
            process = await WorkerProcess.start(self._config, seen)
            try:
                if verb not in {"check", "prepare"}:
                    again = await process.request("prepare", entry.preparation)
                    if entry.prepared not in (None, again):
                        raise _changed(job)
                if self._jobs.get(job) is not entry:  # closed meanwhile
                    raise not_prepared(job)
            except BaseException:  # cancellation too: no process is left behind
                await process.kill()
                raise
            entry.process, entry.seen = process, seen
        return entry.process


def not_prepared(job: str) -> SecureFlowError:
    """Return the error of a job that was never prepared, or is closed."""
    return SecureFlowError(
        "job_not_prepared",
        Text("The job {job!r} is not prepared at this agent.", job=job),
        "Prepare the job before it computes.",
    )


def _changed(job: str) -> SecureFlowError:
    return SecureFlowError(
        "dataset_changed",
        Text("The dataset of job {job!r} changed while the job ran.", job=job),
        "Restore the file that the job began with, or run the job again.",
    )


def _died(verb: str) -> SecureFlowError:
    return SecureFlowError(
        "worker_died",
        Text(
            "The worker process died on the request {verb!r}, and again when it was repeated.",
            verb=verb,
        ),
        "See the agent's log; raise the worker's memory limit if the dataset is large.",
        {"verb": verb},
    )
