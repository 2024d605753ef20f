"""Local computation for jobs that bring code: rows by SecureFlow's worker, the rest by the bundle.

    worker  ──rows (one file)──▶  bundle's process  ──tensors──▶  this process  ──▶  update
    (reads the dataset)           (the code; sandbox,             (clips, turns into
                                   owner's environment)            what is sent)

What is asked of the code, what becomes of its answers, and what is sent where it fails and nobody
may be told, a kind of job says (`CodeKind`).

Code runs only in a sandbox that confines it. It runs once for a model: the update is kept
(`agent.kinds.training.updates`). Between calls its process stands still; one that nothing is asked
of for long, or whose place another job needs, is ended (`warm`). A process that ended is started
anew, with new rows and a new object, for the next round.

Under differential privacy the time of a step must not be told either, since code can choose it:
every step takes what the kind says (`CodeKind.paced`), whatever the code did, and says 0 seconds.
Each has a process of its own, which is ended after it: were it kept, its end could tell rows by the
time that the next one takes to start. Nobody waits for an end, which code can draw out: none of its
code runs once it is killed, but what it has asked of the kernel (a disk, much memory) is finished.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from secureflow.agent.compute.bundle_errors import died
from secureflow.agent.compute.bundle_process import HOST, BundleProcess, Starter
from secureflow.agent.compute.code_logs import CodeLogs, Whose
from secureflow.agent.compute.jobfiles import HANDED, ROWS, code_folder, take
from secureflow.agent.compute.kind import CodeKind, CodeKinds
from secureflow.agent.compute.warm import WarmPlaces
from secureflow.agent.compute.worker_process import WorkerConfig
from secureflow.agent.compute.workers import Workers, not_prepared
from secureflow.application.ports.sandbox import Launch, Limits, SandboxProcess, View
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.bundle_family import writing_seconds
from secureflow.domain.specs.bundles import CODE_ERRORS
from secureflow.domain.specs.partforms import CodePart
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

_log = get_logger(__name__)

SOURCE: Final = "source"
"""The folder that a job's bundle is written into."""
MAX_ROWS: Final = 1 << 46
"""Bytes of prepared rows; what a worker may write is bounded by its memory."""
LOAD_SECONDS: Final = 300.0
"""For starting, importing and taking up the rows; importing a large framework takes a while."""
_SEEN: Final = "seen"
"""A mark in a job's folder of code: a process of it has seen rows, of an earlier agent's too."""


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

    def whose(self, job: str) -> Whose:
        """Return whose an approved job is; nobody's if its record is gone."""


@dataclass
class _Job:
    """A job with code, prepared here."""

    kind: CodeKind
    spec: JobSpec
    bundle: CodePart
    rows: tuple[int, int]
    kernels: Mapping[str, str]
    """The variables that choose the code of numeric libraries."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    process: BundleProcess | None = None
    brought: bool = False
    """Whether the rows lie where the process finds them."""
    handed: bool = False
    """Whether the process has taken up the rows."""
    until: float = math.inf
    """When this step's last call must have ended, on the monotonic clock."""
    seen: bool = False
    """Whether any process of the job has seen rows: what code does may depend on them then."""
    leaving: set[asyncio.Task[None]] = field(default_factory=set)
    """Ends of earlier processes."""

    def left(self, most: float) -> float:
        """Return the seconds that a call may take, of at most so many."""
        return min(most, max(self.until - time.monotonic(), 0.01))


class BundleWorkers:
    """`agent.job.context.Computing`, with code of others where a job brings some.

    Args:
        workers: SecureFlow's own.
        code: returns the owner's approved code and environments, once there is a job.
        directory: the agent's.
        kinds: those of jobs that may bring code.
        wait: waits for some seconds.
    """

    def __init__(
        self,
        workers: Workers,
        code: Callable[[], OwnerCode],
        directory: Path,
        kinds: CodeKinds,
        wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._wait = wait
        self._workers = workers
        self._code = code
        self._logs = CodeLogs(directory, lambda job: self._code().whose(job))
        self._kinds = kinds
        self._jobs: dict[str, _Job] = {}
        self._lingering: set[asyncio.Task[None]] = set()
        config = workers.config
        self._places = WarmPlaces(config.warm, config.idle, self._end_process)

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
        keys: bytes = b"",
    ) -> dict[str, Any]:
        """Read and check the rows; see `Workers.prepare`.

        Raises:
            SecureFlowError: as `check` and `Workers.prepare`.
        """
        asked = self._with_code(spec)
        if asked is not None:
            await self._check_code(asked[2])
        answer = await self._workers.prepare(job, spec, dataset, salt, commitment, keys)
        if asked is not None:
            await self._end(job)
            counts = int(answer["rows"]), int(answer["validation"])
            known = _Job(*asked, counts, self._workers.config.kernels(spec))
            known.seen = await asyncio.to_thread(self._mark(job).exists)
            self._jobs[job] = known
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
        async with known.lock, self._places.held(job, lambda: self._jobs.get(job) is known):
            asked, pace = dict(arguments or {}), known.kind.paced(known.spec)
            if pace is not None:
                return {"sums": await self._paced(job, known, step, asked, pace), "seconds": 0.0}
            began = time.monotonic()
            sums = await self._told(job, known, step, asked)
            return {"sums": sums, "seconds": time.monotonic() - began}

    async def close(self, job: str) -> None:
        """End a job's processes."""
        await self._end(job)
        self._jobs.pop(job, None)
        await self._workers.close(job)

    async def stop(self) -> None:
        """End every process, and wait until they are gone.

        One that cannot be ended properly keeps none of the others; its error comes last.
        """
        try:
            ends = [self._end(job) for job in list(self._jobs)]
            ended = await asyncio.gather(*ends, return_exceptions=True)
            ended += await asyncio.gather(*self._lingering, return_exceptions=True)
        finally:
            await self._workers.stop()
        for one in ended:
            if one is not None:
                raise one

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

    async def _paced(
        self, job: str, known: _Job, step: str, asked: Mapping[str, Any], pace: float
    ) -> list[float]:
        """Compute a step in a time that the code cannot choose, whatever came before it.

        The start of its process is part of it: one that saw rows can leave traces on the host (in
        the page cache, for instance), by which the next one draws its start out, though it has seen
        no row itself. What the code answers, or that it does not, is taken up at one moment, and
        what comes of it is told at a later one.
        """
        self._leave(known)
        known.until = time.monotonic() + min(pace, self._workers.config.others_seconds)
        try:
            sums = await self._from_start(job, known, step, asked)
        except SecureFlowError as error:
            if error.code in CODE_ERRORS:
                await self._until_told(known)
            raise
        await self._until_told(known)
        return sums

    async def _from_start(
        self, job: str, known: _Job, step: str, asked: Mapping[str, Any]
    ) -> list[float]:
        """Compute a step in a new process; before any has seen rows, a failed start is an error."""
        try:
            await self._load(job, known)
            await self._bring_rows(job, known, asked)
        except SecureFlowError as error:
            if not known.seen or error.code not in CODE_ERRORS:
                raise
            self._leave(known)
        return await self._by_code(job, known, step, asked)

    async def _until_told(self, known: _Job) -> None:
        """Wait for the next moment at which what came of a paced step is told."""
        late = max(time.monotonic() - known.until, 0.0)
        room = writing_seconds(known.spec.parameters)  # what takes longer waits for as long again
        told = known.until + room * (math.floor(late / room) + 1)
        await self._wait(told - time.monotonic())

    async def _over(self, known: _Job) -> None:
        """Return when what the code did may be taken up: under a pace, at its moment."""
        if math.isfinite(known.until):
            self._leave(known)
            await self._wait(max(known.until - time.monotonic(), 0.0))

    def _leave(self, known: _Job) -> None:
        """End a job's process without waiting for its end, which may take as long as it likes."""
        process, known.process = known.process, None
        if process is not None:
            task = asyncio.get_running_loop().create_task(process.kill())
            self._lingers(task)
            known.leaving.add(task)
            task.add_done_callback(known.leaving.discard)

    def _lingers(self, task: asyncio.Task[None]) -> None:
        """Keep the end of a process that nobody waits for."""
        self._lingering.add(task)
        task.add_done_callback(self._lingering.discard)

    async def _told(
        self, job: str, known: _Job, step: str, asked: Mapping[str, Any]
    ) -> list[float]:
        """Return the sums of a step: the code's own, or what a worker makes of what it wrote."""
        kind, sums = known.kind, list[float]()
        if not kind.written(known.spec, known.rows, asked):
            sums = await self._by_code(job, known, step, asked)
        if (further := kind.further(known.spec, asked)) is not None:
            sums = (await self._workers.compute(job, *further))["sums"]
        return sums

    async def _by_code(
        self, job: str, known: _Job, step: str, asked: Mapping[str, Any]
    ) -> list[float]:
        try:
            return await self._called(job, known, step, asked)
        except SecureFlowError as error:
            if not known.seen or error.code not in CODE_ERRORS:
                raise
            await self._over(known)
            sums = await asyncio.to_thread(known.kind.instead, step, known.spec, known.rows, asked)
            if sums is None:
                raise
            _log.warning("bundle_failed", job=job, code=error.code, message=str(error))
            return sums

    async def _called(
        self, job: str, known: _Job, step: str, asked: Mapping[str, Any]
    ) -> list[float]:
        """Have the code compute a step; once more if its process ended."""
        try:
            return await self._called_once(job, known, step, asked)
        except SecureFlowError as error:
            if error.code != "bundle_died":
                raise
        return await self._called_once(job, known, step, asked)

    async def _called_once(
        self, job: str, known: _Job, step: str, asked: Mapping[str, Any]
    ) -> list[float]:
        if math.isfinite(known.until) and (known.process is None or not known.process.alive):
            raise died()  # a start takes time, and that a process is dead is the code's doing
        process = await self._ready(job, known)
        await self._bring_rows(job, known, asked)
        await self._hand_over(job, known, process)
        most = known.left(self._workers.config.others_seconds)
        over = partial(self._over, known)
        try:
            return await known.kind.compute(
                process, step, known.spec, known.rows, asked, most, over
            )
        finally:
            if known.kind.fresh:
                self._leave(known)

    async def _ready(self, job: str, known: _Job) -> BundleProcess:
        """Return the job's process, a new one where it has ended."""
        if known.process is not None and known.process.alive:
            return known.process
        return await self._load(job, known)

    async def _bring_rows(self, job: str, known: _Job, asked: Mapping[str, Any]) -> None:
        """Have SecureFlow's worker write the rows for the process, if it has not."""
        if known.brought:
            return
        written, rows = self._files / job / ROWS, code_folder(self._files, job) / ROWS / ROWS
        await self._workers.compute(job, known.kind.rows, known.kind.rows_arguments(written, asked))
        await asyncio.to_thread(_take_rows, written, rows)
        known.brought = True

    async def _hand_over(self, job: str, known: _Job, process: BundleProcess) -> None:
        """Have a process take up the rows, if it has not."""
        if known.handed:
            return
        if not known.seen:
            await asyncio.to_thread(self._mark(job).touch)
            known.seen = True
        if known.kind.fresh:
            known.handed = True  # its one call brings them
            return
        try:
            await process.prepare_rows(HANDED, limit=known.left(LOAD_SECONDS))
        except SecureFlowError:
            process.end()  # an object that was half prepared is of no use
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
        config, own = self._workers.config, code_folder(self._files, job)
        python = await asyncio.to_thread(self._code().interpreter, known.bundle.environment)
        await self._code().fetch(known.bundle.digest)
        await asyncio.to_thread(self._write_code, known.bundle.digest, own)
        inputs = (View(own / SOURCE, Path("/bundle")), View(own / ROWS, Path(HANDED).parent),
                  View(HOST, Path("/host.py")))  # fmt: skip
        launch = Launch(
            (str(python),),
            {**config.library_threads, **known.kernels},
            inputs,
            hidden=config.hidden,
            limits=Limits(
                config.memory, config.processes, config.cpus, config.scratch, config.scratch
            ),
            devices=config.devices,
        )
        task = replace(
            known.kind.task(known.spec), python=str(python), folder="/bundle", host="/host.py"
        )
        log = await asyncio.to_thread(self._logs.of, job, frozenset(self._jobs))
        most, paced = known.left(LOAD_SECONDS), math.isfinite(known.until)
        process = await BundleProcess.start(
            _starter(config, launch), task, log, limit=most,
            left=self._lingers if paced else None,
        )  # fmt: skip
        if self._jobs.get(job) is not known:  # closed or prepared anew meanwhile
            await process.kill()
            raise not_prepared(job)
        known.process, known.brought, known.handed = process, False, False
        return process

    @property
    def _files(self) -> Path:
        if self._workers.config.files is None:
            raise no_sandbox()
        return self._workers.config.files

    def _mark(self, job: str) -> Path:
        return code_folder(self._files, job) / _SEEN

    def _write_code(self, digest: str, folder: Path) -> None:
        """Write the code, and an empty folder for its rows."""
        for old in (SOURCE, ROWS):  # of a process that was killed meanwhile
            shutil.rmtree(folder / old, ignore_errors=True)
        (folder / ROWS).mkdir(mode=0o700, parents=True)
        self._code().write(digest, folder / SOURCE)

    def _end_process(self, job: str) -> None:
        if known := self._jobs.get(job):
            self._leave(known)

    async def _end(self, job: str) -> None:
        known = self._jobs.pop(job, None)  # first: whoever starts a process meanwhile ends it
        self._places.leave(job)
        if known is not None:
            self._leave(known)
            if known.kind.paced(known.spec) is None:
                await asyncio.gather(*known.leaving)


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
        Text("Ask that owner to install bubblewrap (apt-get install {package}); secureflow agent "
             "doctor tells them the rest.", package="bubblewrap"),
    )  # fmt: skip
