"""Local computation for jobs that bring code: rows by SecureFlow's worker, the rest by the bundle.

    worker  ──rows (one file)──▶  bundle's process  ──tensors──▶  this process  ──▶  update
    (reads the dataset)           (the code; sandbox,             (clips, turns into
                                   owner's environment)            what is sent)

What is asked of the code, and what becomes of its answers, a kind of job says (`CodeKind`).

Code runs only in a sandbox that confines it. It runs once for a model: the update is kept
(`agent.kinds.training.updates`). A process that ends is started anew, with new rows and a new
object, for the next round.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from secureflow.agent.compute.bundle_process import HOST, BundleProcess, Starter
from secureflow.agent.compute.jobfiles import ROWS, code_folder, take
from secureflow.agent.compute.kind import CodeKind, CodeKinds
from secureflow.agent.compute.worker_process import WorkerConfig
from secureflow.agent.compute.workers import Workers
from secureflow.application.ports.sandbox import Launch, Limits, SandboxProcess, View
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import CodePart, JobSpec
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

SOURCE: Final = "source"
"""The folder that a job's bundle is written into."""
MAX_ROWS: Final = 1 << 46
"""Bytes of prepared rows; what a worker may write is bounded by its memory."""
LOGS: Final = Path("bundles") / "logs"
"""Below the agent's folder: what bundles print, a file for each job."""
LOAD_SECONDS: Final = 300.0
"""For starting, importing and taking up the rows; importing a large framework takes a while."""
MAX_LOGS: Final = 200
"""Logs that are kept, the newest."""


class OwnerCode(Protocol):
    """The owner's approved code and environments."""

    async def fetch(self, digest: str) -> object:
        """Have a bundle's file here, from the centre if it is gone.

        Raises:
            SecureFlowError: those of `OwnerBundles.fetch`.
        """

    def write(self, digest: str, folder: Path) -> None:
        """Write an approved bundle's files into a folder that this makes.

        Raises:
            SecureFlowError: `not_approved`, `not_found`.
        """

    def interpreter(self, environment: str) -> Path:
        """Return the interpreter of the environment of this digest, checked to be as installed.

        Raises:
            SecureFlowError: `environment_unknown`, `environment_broken`.
        """


@dataclass
class _Job:
    """A job with code, prepared here."""

    kind: CodeKind
    spec: JobSpec
    bundle: CodePart
    rows: tuple[int, int]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    process: BundleProcess | None = None


class BundleWorkers:
    """`agent.job.context.Computing`, with code of others where a job brings some.

    Args:
        workers: SecureFlow's own.
        code: returns the owner's approved code and environments, once there is a job.
        directory: the agent's.
        kinds: those of jobs that may bring code.
    """

    def __init__(
        self,
        workers: Workers,
        code: Callable[[], OwnerCode],
        directory: Path,
        kinds: CodeKinds,
    ) -> None:
        self._workers = workers
        self._code = code
        self._logs = directory / LOGS
        self._kinds = kinds
        self._jobs: dict[str, _Job] = {}

    async def describe(
        self, dataset: DatasetConfig, salt: bytes, known: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        """See `Workers.describe`."""
        return await self._workers.describe(dataset, salt, known)

    async def check(self, job: str, spec: Mapping[str, Any], dataset: DatasetConfig | None) -> None:
        """Refuse what can be refused without rows; see `Workers.check`.

        Raises:
            SecureFlowError: as `Workers.check`; `sandbox_missing` and those of
                `OwnerCode.interpreter` for a job that brings code.
        """
        asked = self._with_code(spec)
        if asked is not None:
            await self._check_code(asked[2])
        await self._workers.check(job, spec, dataset)

    async def prepare(
        self,
        job: str,
        spec: Mapping[str, Any],
        dataset: DatasetConfig | None,
        salt: bytes | None = None,
        commitment: str = "",
    ) -> dict[str, Any]:
        """Read and check the rows; see `Workers.prepare`.

        Raises:
            SecureFlowError: as `check` and `Workers.prepare`.
        """
        asked = self._with_code(spec)
        if asked is not None:
            await self._check_code(asked[2])
        answer = await self._workers.prepare(job, spec, dataset, salt, commitment)
        if asked is not None:
            await self._end(job)
            counts = int(answer["rows"]), int(answer["validation"])
            self._jobs[job] = _Job(*asked, counts)
        return answer

    async def compute(
        self, job: str, step: str, arguments: Mapping[str, JSON] | None = None
    ) -> dict[str, Any]:
        """Return the sums of a step; see `Workers.compute`.

        Raises:
            SecureFlowError: as `Workers.compute`, and those of `BundleProcess`.
        """
        known = self._jobs.get(job)
        if known is None or step not in known.kind.steps:
            return await self._workers.compute(job, step, arguments)
        async with known.lock:
            began = time.monotonic()
            sums = await self._by_code(job, known, step, dict(arguments or {}))
            return {"sums": sums, "seconds": time.monotonic() - began}

    async def close(self, job: str) -> None:
        """End a job's processes."""
        await self._end(job)
        self._jobs.pop(job, None)
        await self._workers.close(job)

    async def stop(self) -> None:
        """End every process."""
        for job in list(self._jobs):
            await self._end(job)
        await self._workers.stop()

    def _with_code(self, spec: Mapping[str, Any]) -> tuple[CodeKind, JobSpec, CodePart] | None:
        """Return a spec that brings code, with its kind and the code; None for every other."""
        kind = self._kinds.get(str(spec.get("kind")))
        asked = None if kind is None else kind.spec(spec)
        if kind is None or asked is None or asked.bundle is None:
            return None
        return kind, asked, asked.bundle

    async def _check_code(self, bundle: CodePart) -> None:
        if not self._workers.config.sandbox.confines:
            raise no_sandbox()
        await asyncio.to_thread(self._code().interpreter, bundle.environment)

    async def _by_code(
        self, job: str, known: _Job, step: str, asked: Mapping[str, Any]
    ) -> list[float]:
        process = known.process
        if process is None or not process.alive:
            process = known.process = await self._started(job, known, asked)
        most = self._workers.config.others_seconds
        return await known.kind.compute(process, step, known.spec, known.rows, asked, most)

    async def _started(self, job: str, known: _Job, asked: Mapping[str, Any]) -> BundleProcess:
        """Write rows and code, start the process, and have it take them up."""
        config, kind = self._workers.config, known.kind
        if config.files is None:
            raise no_sandbox()
        written, own = config.files / job / ROWS, code_folder(config.files, job)
        await self._workers.compute(job, kind.rows, kind.rows_arguments(written, asked))
        rows = own / ROWS
        await asyncio.to_thread(_take_rows, written, rows)
        python = await asyncio.to_thread(self._code().interpreter, known.bundle.environment)
        await self._code().fetch(known.bundle.digest)
        await asyncio.to_thread(self._write_code, known.bundle.digest, own / SOURCE)
        inputs = (View(own / SOURCE, Path("/bundle")), View(rows, Path("/rows")),
                  View(HOST, Path("/host.py")))  # fmt: skip
        launch = Launch(
            (str(python),),
            config.library_threads,
            inputs,
            hidden=config.hidden,
            limits=Limits(
                config.memory, config.processes, config.cpus, config.scratch, config.scratch
            ),
            devices=config.devices,
        )
        task = replace(kind.task(known.spec), python=str(python), folder="/bundle", host="/host.py")
        log = await asyncio.to_thread(self._log, job)
        starter = _starter(config, launch)
        process = await BundleProcess.start(starter, task, log, limit=LOAD_SECONDS)
        try:
            await process.prepare_rows("/rows", limit=LOAD_SECONDS)
        except BaseException:  # cancellation too: nobody else knows the process
            await process.kill()
            raise
        return process

    def _write_code(self, digest: str, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed meanwhile
        self._code().write(digest, folder)

    def _log(self, job: str) -> Path:
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._logs / f"{job}.log"
        with contextlib.suppress(FileNotFoundError):
            path.replace(path.with_suffix(".before.log"))
        older = sorted(self._logs.glob("*.log"), key=lambda one: one.stat().st_mtime)
        for one in older[: -MAX_LOGS + 1]:
            one.unlink(missing_ok=True)
        return path

    async def _end(self, job: str) -> None:
        known = self._jobs.get(job)
        if known is not None and known.process is not None:
            process, known.process = known.process, None
            await process.kill()


def _take_rows(written: Path, rows: Path) -> None:
    """Copy the rows to where no worker sees them: it may cut its file while they are mapped."""
    place = Place(rows.parent, "model files")
    with writing(place, written.stat().st_size):
        rows.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        take(written, rows, None, most=MAX_ROWS)


def _starter(config: WorkerConfig, launch: Launch) -> Starter:
    async def start(command: Any, channel: int, log: int) -> SandboxProcess:
        return await config.sandbox.start(
            replace(launch, command=tuple(command), ends=(channel, log))
        )

    return start


def no_sandbox() -> SecureFlowError:
    """Return the error of an agent that cannot confine code."""
    return SecureFlowError(
        "sandbox_missing",
        "Code that others bring runs in a sandbox only, and this agent has none.",
        Text("Install bubblewrap (apt-get install {package}), then: secureflow agent doctor.",
             package="bubblewrap"),
    )  # fmt: skip
