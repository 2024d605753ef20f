"""Local computation for jobs that bring code: rows by SecureFlow's worker, the rest by the bundle.

    worker  ──rows (one file)──▶  bundle's process  ──tensors──▶  this process  ──▶  update
    (reads the dataset)           (the code; sandbox,             (clips, turns into
                                   owner's environment)            what is sent)

Whatever the code returns has the tensors that the spec declares, every number finite. Its norm cap,
and under differential privacy its clipping to lattice steps, are applied *here*: the code shares no
memory with this process, and can neither leave them out nor see the seeds. Reported sums are capped
by the number of validation rows. Under differential privacy no sum leaves at all, and code that
fails contributes zeros, as a trainer that diverges does: its failure would be told without noise,
and could be made to depend on a row.

Code runs only in a sandbox that confines it. It runs once for a model: the update is kept
(`agent.kinds.training.updates`). A process that ends is started anew, with new rows and a new
object, once for a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from secureflow.adapters.frameworks import Returned
from secureflow.agent.compute.bundle_process import HOST, BundleProcess, BundleTask, Starter
from secureflow.agent.compute.tensor_layout import TensorLayout
from secureflow.agent.compute.training import EVALUATE, ROWS, TRAIN, rows_arguments
from secureflow.agent.compute.worker_process import OUTPUT_ROWS, WorkerConfig
from secureflow.agent.compute.workers import Workers, not_prepared
from secureflow.application.ports.sandbox import Launch, Limits, SandboxProcess, View
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

_log = get_logger(__name__)

CODE: Final = "code"
"""The folder of a job that its bundle is written into."""
LOGS: Final = Path("bundles") / "logs"
"""Below the agent's folder: what bundles print, a file for each job."""
LOAD_SECONDS: Final = 120.0
"""For starting, importing and taking up the rows; importing a large framework takes a while."""

_BY_CODE: Final = frozenset(
    {"bundle_unusable", "bundle_failed", "bundle_died", "bundle_silent", "bundle_output_refused"}
)
"""Errors that code can bring about at will."""


class OwnerCode(Protocol):
    """The owner's approved code and environments."""

    async def fetch(self, digest: str) -> None:
        """Have a bundle's file here, whatever became of the one that was approved.

        Raises:
            SecureFlowError: the link's; those of `OwnerBundles.fetch`.
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

    spec: TrainingSpec
    model: BundleModel
    rows: tuple[int, int]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    process: BundleProcess | None = None
    handed: bool = False
    """Whether the process has the rows."""
    seen: bool = False
    """Whether any process of the job ever had them."""


class BundleWorkers:
    """`agent.job.context.Computing`, with code of others where a job brings some.

    Args:
        workers: SecureFlow's own.
        code: returns the owner's approved code and environments, once there is a job.
        directory: the agent's.
    """

    def __init__(self, workers: Workers, code: Callable[[], OwnerCode], directory: Path) -> None:
        self._workers = workers
        self._code = code
        self._logs = directory / LOGS
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
        asked = _with_code(spec)
        if asked is not None:
            await self._check_code(asked[1])
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
        asked = _with_code(spec)
        if asked is not None:
            await self._check_code(asked[1])
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
        if known is None or step not in {TRAIN, EVALUATE}:
            return await self._workers.compute(job, step, arguments)
        async with known.lock:
            began = time.monotonic()
            sums = await self._by_code(job, known, step, dict(arguments or {}))
            return {"sums": sums, "seconds": time.monotonic() - began}

    async def close(self, job: str) -> None:
        """End a job's processes."""
        await self._end(job)
        await self._workers.close(job)

    async def stop(self) -> None:
        """End every process."""
        for job in list(self._jobs):
            await self._end(job)
        await self._workers.stop()

    async def _check_code(self, model: BundleModel) -> None:
        if not self._workers.config.sandbox.confines:
            raise no_sandbox()
        await asyncio.to_thread(self._code().interpreter, model.bundle.environment)

    async def _by_code(
        self, job: str, known: _Job, step: str, asked: Mapping[str, Any]
    ) -> list[float]:
        returned = await asyncio.to_thread(Returned.to_model, known.spec, Path(asked["model"]))
        try:
            sums = await self._called(job, known, step, asked, returned)
        except SecureFlowError as error:
            if known.spec.privacy is None or not known.seen or error.code not in _BY_CODE:
                raise
            _log.warning("bundle_failed", job=job, code=error.code, message=str(error))
            sums = {}
            if step == TRAIN:
                await asyncio.to_thread(returned.write_zeros, Path(asked["update"]))
        return returned.sums(sums, known.rows, bytes.fromhex(asked["seed"]))

    async def _called(
        self, job: str, known: _Job, step: str, asked: Mapping[str, Any], returned: Returned
    ) -> Mapping[str, float]:
        """Have the code evaluate and train, and return its sums; once more if its process ended."""
        try:
            return await self._called_once(job, known, step, asked, returned)
        except SecureFlowError as error:
            if error.code != "bundle_died":
                raise
        return await self._called_once(job, known, step, asked, returned)

    async def _called_once(
        self, job: str, known: _Job, step: str, asked: Mapping[str, Any], returned: Returned
    ) -> Mapping[str, float]:
        process = known.process
        if process is None or not process.alive:
            process = await self._load(job, known)
        await self._hand_over(job, known, process, asked["moments"])
        limit = float(known.model.seconds)
        sums: Mapping[str, float] = {}
        if known.spec.privacy is None and known.model.sums:
            sums = await process.evaluate(returned.tensors, limit=limit)
        if step == TRAIN:
            trained = await process.train(returned.tensors, int(asked["round"]), limit=limit)
            await asyncio.to_thread(returned.write, trained, Path(asked["update"]))
        return sums

    async def _hand_over(
        self, job: str, known: _Job, process: BundleProcess, moments: list[float] | None
    ) -> None:
        """Have a process take up the rows, if it has not."""
        if known.handed:
            return
        rows = self._folder(job) / OUTPUT_ROWS
        counted = await self._workers.compute(job, ROWS, rows_arguments(rows, moments))
        known.rows = int(counted["sums"][0]), int(counted["sums"][1])
        known.seen = True
        try:
            await process.prepare_rows("/rows", limit=LOAD_SECONDS)
        except SecureFlowError:
            await process.kill()  # an object that was half prepared is of no use
            raise
        known.handed = True

    async def _load(self, job: str, known: _Job) -> BundleProcess:
        """Start the job's process and have it import the code, which sees no rows yet.

        So whether code can be imported, which everybody is told the first time, does not depend on
        a row. Whether it is imported again may: a process that has seen rows can end.
        """
        if self._jobs.get(job) is not known:
            raise not_prepared(job)
        if known.process is not None:
            await known.process.kill()  # it ended by itself
        config, model, folder = self._workers.config, known.model, self._folder(job)
        rows = folder / OUTPUT_ROWS
        python = await asyncio.to_thread(self._code().interpreter, model.bundle.environment)
        await self._code().fetch(model.bundle.digest)
        await asyncio.to_thread(self._write_code, model.bundle.digest, folder / CODE)
        await asyncio.to_thread(os.truncate, rows, 0)
        inputs = (View(folder / CODE, Path("/bundle")), View(rows, Path("/rows")),
                  View(HOST, Path("/host.py")))  # fmt: skip
        launch = Launch(
            (str(python),),
            config.library_threads,
            inputs,
            hidden=config.hidden,
            limits=Limits(config.memory, config.processes, config.cpus, 1, config.scratch),
            devices=config.devices,
        )
        task = BundleTask(
            str(python), "/bundle", model.bundle.entry, dict(model.settings), known.spec.plan.seed,
            _layout(known.spec), model.sums, "/host.py",
        )  # fmt: skip
        log = await asyncio.to_thread(self._log, job)
        process = await BundleProcess.start(_starter(config, launch), task, log, limit=LOAD_SECONDS)
        if self._jobs.get(job) is not known:  # closed or prepared anew meanwhile
            await process.kill()
            raise not_prepared(job)
        known.process, known.handed = process, False
        return process

    def _folder(self, job: str) -> Path:
        if self._workers.config.files is None:
            raise no_sandbox()
        return self._workers.config.files / job

    def _write_code(self, digest: str, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed meanwhile
        self._code().write(digest, folder)

    def _log(self, job: str) -> Path:
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._logs / f"{job}.log"
        with contextlib.suppress(FileNotFoundError):
            path.replace(path.with_suffix(".before.log"))
        return path

    async def _end(self, job: str) -> None:
        known = self._jobs.pop(job, None)  # first: whoever starts a process meanwhile ends it
        if known is not None and known.process is not None:
            await known.process.kill()


def _with_code(spec: Mapping[str, Any]) -> tuple[TrainingSpec, BundleModel] | None:
    """Return a spec that names a bundle, and its model; None for every other."""
    model = spec.get("model")
    if not isinstance(model, Mapping) or model.get("family") != "bundle":
        return None
    asked = parse(TrainingSpec, dict(spec), stored=True)
    return (asked, asked.model) if isinstance(asked.model, BundleModel) else None


def _layout(spec: TrainingSpec) -> tuple[TensorLayout, ...]:
    return tuple(TensorLayout(one.name, one.dtype, one.shape) for one in spec.tensors)


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
