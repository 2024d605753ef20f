"""The agent's workers: one warm child process per job, restarted when it dies.

Every request is a pure function of files and arguments, so a request whose worker died is simply
repeated: once, in a new process that is prepared like the old one. pyarrow is never imported here.

Nothing that a worker says is believed. Its errors are said again (`worker_errors`); its answers
have the form and the numbers that were asked for, or it is ended; a disk that it calls full is
looked at; what is published of a dataset is found here; and a step's time is measured here.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from secureflow.adapters.datasources import changed, commit, still_written
from secureflow.agent.compute import standstill
from secureflow.agent.compute.jobfiles import OUTPUTS, SELECTION, emptied, job_folder
from secureflow.agent.compute.worker_errors import Asked, WorkerError, failed, worker_error
from secureflow.agent.compute.worker_process import (
    Views,
    WorkerConfig,
    WorkerDied,
    WorkerFailed,
    WorkerProcess,
    WorkerStill,
    views,
)
from secureflow.agent.compute.worker_texts import FAILED
from secureflow.domain.schemas import DatasetConfig, check_dataset, row_bucket
from secureflow.domain.specs.base import dump
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import (
    FULL,
    RAISE_LIMIT,
    TOO_MANY,
    Place,
    describe,
    full,
    no_handle_left,
)
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.folderdigest import content_digest
from secureflow.kit.text import Text

__all__ = ["WorkerConfig", "Workers", "not_prepared"]

NO_SALT = "00" * 32
"""For a preparation whose commitment is not compared."""
_MOST = 1 << 53
_COMMITMENT = re.compile(r"[0-9a-f]{64}")


@dataclass
class _Job:
    """Everything needed to start a new process for a job, prepared like the last one."""

    preparation: dict[str, Any]
    asked: Asked
    largest: int
    kernels: Mapping[str, str]
    config: WorkerConfig
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
        still = False
        for _ in range(2):
            seen = await self._views("", dataset.path)
            process = await WorkerProcess.start(self._config, seen)
            try:
                answer = await process.request("describe", arguments)
                return await asyncio.to_thread(_description, answer, dataset, salt, known)
            except WorkerDied as error:
                still = isinstance(error, WorkerStill)
            except WorkerFailed as told:
                asked = Asked(dataset=dataset, owner=True)
                raise await asyncio.to_thread(_error, told.raw, asked, "describe") from None
            finally:
                await process.kill()
        raise _died("describe", still=still)

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
        self._entry({**arguments, "salt": NO_SALT}, Asked(job, spec, dataset))
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
        keys: bytes = b"",
    ) -> dict[str, Any]:
        """Read the columns that the spec names and check every row; repeating it reads again.

        Args:
            job: job id.
            spec: the job's spec.
            dataset: the declaration, None if the job reads no rows.
            salt: of the commitment, 32 bytes.
            commitment: hex; a file with another one is refused, now and whenever a new process
                has to read it again. Empty: nothing is compared.
            keys: the organisation's secret, under which the keys of rows are drawn.

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
            "keys": keys.hex(),
            "selection": self._selection(job, spec),
        }
        asked = Asked(job, spec, dataset)
        entry = self._entry(arguments, asked)
        entry.preparation, entry.asked, entry.prepared = arguments, asked, None
        try:
            answer = await self._ask(job, "prepare", arguments)
            entry.prepared = _prepared(answer, asked, commitment)
        except SecureFlowError:
            await self.close(job)
            raise
        return entry.prepared

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, JSON] | None = None
    ) -> dict[str, Any]:
        """Return the `sums` of a step of the job's kind, and the `seconds` that they took here.

        A step whose worker died is repeated. So it must write nothing that its repetition would not
        overwrite; a result that differs each time, as noise does, was seen by nobody.

        Args:
            job: a prepared job.
            step: one of the steps of the job's kind (`WorkerKind.steps`).
            arguments: of the step, as defined by the kind's own module in `agent.compute`.
        """
        began = time.perf_counter()
        answer = await self._ask(job, step, {"job": job, **(arguments or {})})
        sums = answer.get("sums")
        if not isinstance(sums, list) or not all(map(_is_number, sums)):
            await self._end(job)
            raise _malformed()
        return {"sums": sums, "seconds": time.perf_counter() - began}

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

    def _selection(self, job: str, spec: Mapping[str, Any]) -> str:
        """Return where a job's worker reads which rows alone it takes; "" for all of them."""
        folder = None if self._config.files is None else job_folder(self._config.files, job)
        return "" if folder is None or spec.get("rows") is None else str(folder / SELECTION)

    def _entry(self, preparation: dict[str, Any], asked: Asked) -> _Job:
        """Return what is known of a job, as of now if it is new."""
        known = self._jobs.get(asked.job)
        if known is None:
            config, spec = self._config, asked.spec
            found = config.largest(spec), config.kernels(spec), config.of(spec)
            known = self._jobs[asked.job] = _Job(preparation, asked, *found, asyncio.Lock())
        return known

    async def _ask(self, job: str, verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        entry = self._jobs.get(job)
        if entry is None:
            raise not_prepared(job)
        still = False
        async with entry.lock:
            for again in (True, False):
                try:
                    process = await self._running(job, entry, verb)
                    return await process.request(verb, arguments)
                except WorkerDied as died:
                    entry.process, still = None, isinstance(died, WorkerStill)
                except WorkerFailed as told:
                    error = await asyncio.to_thread(self._told, told.raw, entry, verb)
                    if error is not None or not again:
                        raise (error or failed(_NO_ROOM, _MORE_ROOM)) from None
        raise _died(verb, still=still)

    async def _end(self, job: str) -> None:
        """End a process that nothing more is expected of; the next request starts another."""
        entry = self._jobs.get(job)
        if entry is not None and entry.process is not None:
            process, entry.process = entry.process, None
            await process.kill()

    def _told(self, raw: Mapping[str, Any], entry: _Job, verb: str) -> SecureFlowError | None:
        """Return what a worker's error is told as; None if it says what is not so: ask again.

        What it wrote before it failed is of no use, and may be what fills the disk.
        """
        models, largest = self._config.files, entry.largest
        reached = False
        if models is not None and (folder := job_folder(models, entry.asked.job)) is not None:
            for path in (folder / name for name in OUTPUTS):
                if path.exists():
                    reached |= 0 < largest <= path.stat().st_size
                    emptied(path)
        if raw.get("code") == FULL:
            place = Place(models or Path(), "model files")
            return full(place, largest) if place.free() < largest else None
        if raw.get("code") == FAILED and reached:
            reason = Text("a file that it writes would have more than {count} bytes", count=largest)
            return failed(reason, "Raise `worker: state_mb` in agent.yaml.")
        return _error(raw, entry.asked, verb)

    async def _views(self, job: str, dataset: str, largest: int | None = None) -> Views:
        """Return what a worker needs to see; where files are looked at, others need not wait."""
        if not self._config.sandbox.confines:
            return views(self._config, job, dataset, largest)
        return await asyncio.to_thread(views, self._config, job, dataset, largest)

    async def _running(self, job: str, entry: _Job, verb: str) -> WorkerProcess:
        """Return the job's process, a new one if necessary, prepared like the last one.

        A confined process sees the files that were there when it started: it makes room for a new
        one when another file is in a place.
        """
        dataset = entry.asked.dataset
        path = "" if dataset is None else dataset.path
        seen = await self._views(job, path, entry.largest)
        if entry.process is not None and entry.seen != seen:
            await entry.process.kill()
            entry.process = None
        if entry.process is None:
            process = await WorkerProcess.start(entry.config, seen, entry.kernels)
            try:
                if verb not in {"check", "prepare"}:
                    found = await process.request("prepare", entry.preparation)
                    again = _prepared(found, entry.asked, entry.preparation["commitment"])
                    if entry.prepared not in (None, again):
                        raise _changed(job)
                if self._jobs.get(job) is not entry:  # closed meanwhile
                    raise not_prepared(job)
            except BaseException:  # cancellation too: no process is left behind
                await process.kill()
                raise
            entry.process, entry.seen = process, seen
        return entry.process


_NO_ROOM = "it has no room for its temporary files"
_MORE_ROOM = "Raise `worker: scratch_mb` in agent.yaml, or free space if it runs in no sandbox."
_HANDLES = "it has reached its limit of open files"


def _error(raw: Mapping[str, Any], asked: Asked, verb: str) -> SecureFlowError:
    """Return what a worker's error is told as, where this agent can find out more than it says."""
    code, dataset = raw.get("code"), asked.dataset
    if code == TOO_MANY:
        if not no_handle_left():
            return failed(_HANDLES)
        return InfrastructureError(TOO_MANY, describe(TOO_MANY, "this agent", ""), RAISE_LIMIT)
    if dataset is not None and code == "dataset_changed":
        return still_written(dataset.name) if verb == "describe" else changed(dataset.name)
    if dataset is not None and code == "contradictory_schema":
        try:
            check_dataset(dataset)
        except SecureFlowError as error:
            return error
    if code == FULL:
        return failed(_NO_ROOM, _MORE_ROOM)
    return worker_error(raw, asked)


def _description(
    answer: Mapping[str, Any], dataset: DatasetConfig, salt: bytes, known: tuple[str, str] | None
) -> dict[str, Any]:
    """Return what a worker found in a dataset: the rows are its word, all else is found here.

    Raises:
        SecureFlowError: `dataset_changed`, `worker_failed`.
    """
    rows = answer.get("rows")
    if not _is_count(rows):
        raise _malformed()
    try:
        digest = content_digest(Path(dataset.path))
    except OSError:
        raise still_written(dataset.name) from None
    if known is not None and commit(digest, bytes.fromhex(known[0])) == known[1]:
        salt = bytes.fromhex(known[0])
    commitment = commit(digest, salt)
    if answer.get("commitment") != commitment:
        raise still_written(dataset.name)
    return {
        "name": dataset.name,
        "columns": dataset.public_schema(),
        "rows": rows,
        "bucket": row_bucket(rows),
        "salt": salt.hex(),
        "commitment": commitment,
    }


def _prepared(answer: Mapping[str, Any], asked: Asked, commitment: str) -> dict[str, Any]:
    """Return the parts of a preparation that are read here, if they are what they must be."""
    found = answer.get("commitment")
    counts = {name: answer.get(name) for name in ("rows", "validation")}
    if not all(map(_is_count, counts.values())) or not _is_commitment(found):
        raise _malformed()
    if commitment and found != commitment:
        raise changed("" if asked.dataset is None else asked.dataset.name)
    return {**counts, "commitment": found}


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < _MOST


def _is_number(value: object) -> bool:
    return type(value) in {int, float} and math.isfinite(value)  # type: ignore[arg-type]


def _is_commitment(value: object) -> bool:
    return isinstance(value, str) and (not value or bool(_COMMITMENT.fullmatch(value)))


def _malformed() -> WorkerError:
    return failed("its answer does not have the form that was asked for")


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


def _died(verb: str, *, still: bool) -> SecureFlowError:
    if still:
        return SecureFlowError(
            "worker_too_slow",
            Text(
                "The worker did nothing for {minutes} minutes in the request {verb!r}, and was "
                "ended; the one that was started for it did no more.",
                verb=verb,
                minutes=round(standstill.SECONDS * standstill.LOOKS / 60),
            ),
            "See what holds it: a disk that does not answer, or who stops its processes.",
            {"verb": verb},
        )
    return SecureFlowError(
        "worker_died",
        Text(
            "The worker process died on the request {verb!r}, and again when it was repeated.",
            verb=verb,
        ),
        "See the agent's log; raise the worker's memory limit if the dataset is large. A damaged "
        "Parquet file can end it, too: read it with another program, and write it again.",
        {"verb": verb},
    )
