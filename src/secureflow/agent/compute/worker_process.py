"""The parent's end of a worker: started in the agent's sandbox, called over its channel.

In a sandbox that confines, a worker finds its dataset below `/inputs` and its job's files in
`/job`; there it may write `OUTPUTS` and nothing else. Requests name files as the agent does.

Code in a worker may be hostile: it answers with any bytes at any moment, and writes its two files
whenever it likes. So an answer is read as foreign JSON; an error in it is raised as `WorkerFailed`,
with nothing believed; and what it writes is only ever copied (`jobfiles`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from secureflow.adapters.sandbox import PlainSandbox
from secureflow.agent.compute import standstill
from secureflow.agent.compute.jobfiles import OUTPUTS, STATE_BYTES, emptied, job_folder
from secureflow.agent.compute.standstill import stands_still
from secureflow.agent.compute.worker import LINE_BYTES
from secureflow.application.ports.sandbox import Launch, Limits, Sandbox, SandboxProcess, View
from secureflow.kit.canonical import parse_json
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.kernels import same_kernels
from secureflow.kit.logging import get_logger
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

_log = get_logger(__name__)

MODULE: Final = "secureflow.agent.compute.worker"
"""The worker process with SecureFlow's own kinds of job."""
_AT_ONCE: Final = 1 << 16
"""Bytes of an answer that are parsed while others wait."""
_OBJECTS: Final = 100_000
"""Objects and lists in an answer: each takes many times the memory of its two characters."""
_TOLD: Final = 2000
"""Characters that are logged of what a worker printed before it died."""


@dataclass(frozen=True)
class WorkerConfig:
    """Configuration of the workers.

    Args:
        module: the module that the process runs, with its own table of kinds
            (`worker.main(kinds)`). Only the code that assembles the agent names it: no setting, no
            request, no spec does.
        memory: address space in bytes; 0 is unlimited.
        threads: of BLAS; more than one loses bit-equal retraining on some machines.
        python: the interpreter.
        sandbox: where it runs.
        files: the folder that holds a folder for each job; None if steps use no files.
        hidden: what a confined worker must not see, wherever its interpreter lies.
        cpus: processors; 0 is unlimited.
        processes: threads and processes together.
        scratch: bytes of a confined worker's temporary files.
        listed: what those of a job with this spec may take, if that is more.
        seconds: that one request may take; 0 is unlimited.
        others_seconds: that one request to code of others may take.
        written: the bytes of the update of a job with this spec; None if nothing is known.
        kernels: the variables that choose the code of numeric libraries (`kit.kernels`) for a job
            with this spec.
        state: bytes of the file in which a trainer keeps its own state.
        devices: of the host that a confined worker may use.
        warm: jobs whose code has a process at the same time.
        idle: seconds after which a process with code is ended that nothing is asked of.
    """

    module: str = MODULE
    memory: int = 0
    threads: int = 1
    python: str = sys.executable
    sandbox: Sandbox = field(default_factory=PlainSandbox)
    files: Path | None = None
    hidden: tuple[Path, ...] = ()
    cpus: float = 0.0
    processes: int = 256
    scratch: int = 256 << 20
    listed: Callable[[Mapping[str, Any]], int] = lambda _: 0
    seconds: float = 0.0
    others_seconds: float = 3600.0
    written: Callable[[Mapping[str, Any]], int] | None = None
    kernels: Callable[[Mapping[str, Any]], Mapping[str, str]] = lambda _: same_kernels()
    state: int = STATE_BYTES
    devices: tuple[Path, ...] = ()
    warm: int = 8
    idle: float = 21_600.0

    def largest(self, spec: Mapping[str, Any]) -> int:
        """Return the bytes of the largest file that the worker of a job with this spec may write.

        The kernel holds a process to one size for all of its files.
        """
        return self.memory if self.written is None else max(self.written(spec), self.state)

    def of(self, spec: Mapping[str, Any]) -> WorkerConfig:
        """Return the configuration of the worker of a job with this spec."""
        return replace(self, scratch=max(self.scratch, self.listed(spec)))

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a worker: nothing is inherited from the agent."""
        # A confined process does not see its parent, and cannot outlive it.
        parent = {} if self.sandbox.confines else {"SECUREFLOW_WORKER_PARENT": str(os.getpid())}
        return {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "ARROW_DEFAULT_MEMORY_POOL": "system",  # reserves no address space in advance
            "SECUREFLOW_WORKER_MEMORY": str(self.memory),
            **parent,
            **self.library_threads,
        }

    @property
    def library_threads(self) -> dict[str, str]:
        """The variables that give numeric libraries their number of threads."""
        libraries = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
        return {f"{library}_NUM_THREADS": str(self.threads) for library in libraries}


@dataclass(frozen=True)
class Views:
    """What a confined worker gets of the host, and which files these were.

    Args:
        inputs: what it may read.
        outputs: what it may write.
        files: the numbers of all of them.
        largest: bytes of a file that it writes; None is the configuration's.
    """

    inputs: tuple[View, ...] = ()
    outputs: tuple[View, ...] = ()
    files: tuple[tuple[int, int], ...] = ()
    largest: int | None = None


def views(
    config: WorkerConfig, job: str = "", dataset: str = "", largest: int | None = None
) -> Views:
    """Return what a worker needs to see for a job; where it sees everything, the size alone.

    The job's folder and the files that it writes are made, if they are missing, and emptied: what
    a worker wrote after its last answer is nobody's. This waits for disks: call it off the event
    loop.

    Args:
        config: the workers'.
        job: its id; empty for none.
        dataset: the path of its dataset; empty for none.
        largest: see `Views`.

    Raises:
        SecureFlowError: `dataset_unreadable`; `disk_…`.
    """
    if not config.sandbox.confines:
        return Views(largest=largest)
    inputs, outputs = [], []
    files = _dataset(Path(dataset)) if dataset else []
    if files:
        inputs.append(View(Path(dataset), Path("/inputs") / Path(dataset).name))
    if config.files is not None and (folder := job_folder(config.files, job)) is not None:
        with writing(Place(config.files, "model files")):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = [folder.stat(), *(emptied(folder / name) for name in OUTPUTS)]
        inputs.append(View(folder, Path("/job")))
        outputs = [View(folder / name, Path("/job") / name) for name in OUTPUTS]
        files += [(one.st_dev, one.st_ino) for one in made]
    return Views(tuple(inputs), tuple(outputs), tuple(files), largest)


def _dataset(path: Path) -> list[tuple[int, int]]:
    """Return the number of a dataset's file; without one its worker says what is wrong."""
    try:
        found = path.stat()
    except OSError:
        return []
    _check_own(path, found)
    return [(found.st_dev, found.st_ino)]


def _check_own(path: Path, found: os.stat_result) -> None:
    """Refuse what only root's rights can read: in its sandbox a worker of root has none of them."""
    read = 0o004
    if found.st_uid == os.geteuid():
        read = 0o400
    elif found.st_gid in {os.getegid(), *os.getgroups()}:
        read = 0o040
    if not found.st_mode & read and os.access(path, os.R_OK):
        raise SecureFlowError(
            "dataset_unreadable",
            Text("{path} belongs to another user: the sandbox cannot read it.", path=path),
            "Give it to the agent's user (chown), or let one of the agent's groups read it.",
        )


class WorkerDied(Exception):  # noqa: N818 - an event between the two classes here, not yet an error
    """The process ended, or sent something that is not an answer, while a request was open."""


class WorkerStill(WorkerDied):
    """It used no processor for minutes while a request was open, and was ended."""


class WorkerFailed(Exception):  # noqa: N818 - a worker's word, not yet an error
    """A worker's own error, which nobody has looked at: see `worker_errors`."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        super().__init__()
        self.raw = raw


class WorkerProcess:
    """One child process, one request at a time."""

    def __init__(self, process: SandboxProcess, config: WorkerConfig, launch: Launch) -> None:
        self._process = process
        self._config = config
        self._launch = launch
        self._next = 0

    @classmethod
    async def start(
        cls,
        config: WorkerConfig,
        seen: Views | None = None,
        kernels: Mapping[str, str] | None = None,
    ) -> WorkerProcess:
        """Start a worker in isolated mode with a stripped environment.

        Args:
            config: the workers'.
            seen: what it gets to see.
            kernels: `config.kernels` of its job; none for a process that has no job.

        Raises:
            SecureFlowError: `sandbox_failed`.
        """
        seen = seen or Views()
        launch = Launch(
            (config.python, "-I", "-m", config.module),
            {**config.environment, **(kernels or {})},
            seen.inputs,
            seen.outputs,
            config.hidden,
            Limits(
                memory=config.memory,
                processes=config.processes,
                cpus=config.cpus,
                file_size=config.memory if seen.largest is None else seen.largest,
                scratch=config.scratch,
            ),
            config.devices,
        )
        return cls(await config.sandbox.start(launch), config, launch)

    @property
    def pid(self) -> int:
        """The operating system's process id."""
        return self._process.pid

    @property
    def printed(self) -> bytes:
        """The end of what it printed, for its owner alone."""
        return self._process.printed

    async def request(self, verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and return its answer.

        Raises:
            SecureFlowError: `too_large` for a request beyond a line, or `worker_too_slow`.
            WorkerFailed: the worker's own error.
            WorkerDied: there is no answer; the process is gone. `WorkerStill` if it did nothing.
        """
        self._next += 1
        body = {"id": self._next, "verb": verb, "arguments": self._inside(arguments)}
        line = json.dumps(body, allow_nan=False).encode() + b"\n"
        if len(line) > LINE_BYTES:
            raise SecureFlowError(
                "too_large",
                Text(
                    "The request {verb!r} exceeds {line_bytes} bytes.",
                    verb=verb,
                    line_bytes=LINE_BYTES,
                ),
            )
        try:
            async with asyncio.timeout(self._config.seconds or None):
                reply = await self._watched(line)
        except TimeoutError as error:
            await self.kill()
            raise _too_slow(verb, self._config.seconds) from error
        except BaseException:  # cancellation too: a process with an open answer is unusable
            await self.kill()
            raise
        if "error" in reply:
            raise WorkerFailed(reply["error"])
        answer: dict[str, Any] = reply["answer"]
        return answer

    async def _watched(self, line: bytes) -> dict[str, Any]:
        """Exchange a request for its answer, as long as the process does something."""
        asked = asyncio.ensure_future(self._exchange(line))
        still = asyncio.ensure_future(stands_still(self.pid))
        try:
            while True:
                await asyncio.wait({asked, still}, return_when=asyncio.FIRST_COMPLETED)
                if asked.done():
                    return asked.result()
                if (failed := still.exception()) is None:
                    break
                # Nobody looked: that says nothing of the worker. The next look is seconds away.
                _log.warning("worker_not_watched", error=type(failed).__name__)
                still = asyncio.ensure_future(stands_still(self.pid))
            _log.warning("worker_stands_still", seconds=standstill.SECONDS * standstill.LOOKS)
            raise WorkerStill
        finally:
            asked.cancel()
            still.cancel()
            await asyncio.gather(asked, still, return_exceptions=True)

    async def kill(self) -> None:
        """Kill the process (it has no state to lose) and reap it."""
        await self._process.kill()

    def _inside(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments with the paths at which the worker finds what they name."""
        return {name: self._found(value) for name, value in arguments.items()} | {
            name: {**value, "path": self._found(value["path"])}
            for name, value in arguments.items()
            if name == "dataset" and value is not None
        }

    def _found(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._found(one) for one in value]
        if not isinstance(value, str) or not value.startswith("/"):
            return value
        return str(self._config.sandbox.inside(self._launch, Path(value)))

    async def _exchange(self, line: bytes) -> dict[str, Any]:
        try:
            self._process.writer.write(line)
            await self._process.writer.drain()
            said = await self._process.reader.readuntil()
            if len(said) <= _AT_ONCE:
                reply = _reply(said)
            else:
                reply = await asyncio.to_thread(_reply, said)
        except (
            OSError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            SecureFlowError,
            WorkerDied,
        ) as error:
            await self._died()
            raise WorkerDied from error
        if type(reply.get("id")) is not int or reply["id"] != self._next:
            raise WorkerDied
        return reply

    async def _died(self) -> None:
        await self.kill()
        told = self.printed.decode(errors="replace")[-_TOLD:]
        if told:
            _log.warning("worker_died", message=shown(told))


def _reply(said: bytes) -> dict[str, Any]:
    """Return an answer that has an object as its answer, or as its error.

    Raises:
        SecureFlowError: it is no JSON.
        WorkerDied: it is nothing of the kind.
    """
    if said.count(b"{") + said.count(b"[") > _OBJECTS:
        raise WorkerDied
    reply = parse_json(said, LINE_BYTES)
    sound = isinstance(reply, dict) and len(reply) == 2
    if not sound or not isinstance(reply.get("answer", reply.get("error")), dict):
        raise WorkerDied
    found: dict[str, Any] = reply
    return found


def _too_slow(verb: str, seconds: float) -> SecureFlowError:
    return SecureFlowError(
        "worker_too_slow",
        Text(
            "The worker did not answer the request {verb!r} within {seconds} s and was ended.",
            verb=verb,
            seconds=round(seconds),
        ),
        "Raise `worker: seconds` in agent.yaml, or ask for less work in one round.",
        {"verb": verb},
    )
