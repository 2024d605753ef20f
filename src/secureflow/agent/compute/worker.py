"""The warm worker: one child process per job that holds rows, NumPy and pyarrow.

    python -I -m secureflow.agent.compute.worker

Its table of kinds is an argument of `main`: a platform with other kinds has a module of its own
that calls it, and names that module where it assembles the agent (`agent.edge.main.run`).
It speaks JSON lines (at most `LINE_BYTES` each) on stdin and stdout: a request is
`{"id", "verb", "arguments"}`, the answer `{"id", "answer"}` or `{"id", "error"}`, in order. It
needs no network, has one thread, and ends with its parent or with its stdin. Models and updates are
passed as files; rows never leave the process. It runs in a sandbox where the agent has one.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from secureflow.adapters.datasources import (
    SourceLimits,
    changed,
    commit,
    found_commitment,
    open_source,
    read_with_keys,
    still_written,
)
from secureflow.agent.compute.kind import Prepared, Secrets, WorkerKind, WorkerKinds
from secureflow.agent.compute.kinds import WORKER_KINDS
from secureflow.domain.schemas import DatasetConfig, row_bucket, with_person
from secureflow.domain.specs.base import JobSpec, parse
from secureflow.kit.canonical import parse_json
from secureflow.kit.disk import TOO_MANY, exhausted, is_full
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folderdigest import FolderChangedError, content_digest
from secureflow.kit.text import Text

LINE_BYTES = 8 << 20
"""Longest line in either direction; a spec with all its categories fits."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Worker:
    """The verbs, and the jobs prepared in this process."""

    def __init__(self, limits: SourceLimits, kinds: WorkerKinds = WORKER_KINDS) -> None:
        self._limits = limits
        self._kinds = kinds
        self._jobs: dict[str, tuple[WorkerKind, Prepared]] = {}
        steps = {step for kind in kinds.values() for step in kind.steps}
        self._verbs: dict[str, Callable[..., Any]] = {
            **{step: partial(self.compute, step) for step in steps},
            "describe": self.describe,  # the worker's own: no step may replace them
            "check": self.check,
            "prepare": self.prepare,
            "close": self.close,
        }

    def answer(self, line: bytes) -> bytes:
        """Return the answer line to a request line; no request ends the worker."""
        number: Any = None
        try:
            request = parse_json(line, LINE_BYTES)
            number = request["id"]
            result = {"answer": self._verbs[request["verb"]](**request["arguments"])}
        except SecureFlowError as error:
            result = {"error": error.as_json()}
        except OSError as error:
            limited = TOO_MANY if exhausted(error, "") else "worker_failed"
            code = "disk_full" if is_full(error) else limited
            result = {
                "error": _failure(code, Text("{name} occurred inside", name=type(error).__name__))
            }
        except MemoryError:
            result = {"error": _failure("worker_out_of_memory", "the dataset needs more memory")}
        except Exception as error:  # noqa: BLE001 - process edge: the parent must get an answer,
            # with the type alone, because a message may quote a cell.
            result = {
                "error": _failure(
                    "worker_failed", Text("{name} occurred inside", name=type(error).__name__)
                )
            }
        return json.dumps({"id": number, **result}, allow_nan=False).encode() + b"\n"

    def describe(
        self, dataset: dict[str, Any], salt: str, known: list[str] | None = None
    ) -> dict[str, Any]:
        """Read a dataset against its declaration; return what may be published about it.

        The file is hashed before and after its rows are read, so that the checked content is the
        committed content even if someone is still writing the file. `known` is the salt and
        commitment of an earlier publication: an unchanged file keeps them.
        """
        config = parse(DatasetConfig, dataset, "dataset")
        digest = _digest(config)
        rows = _checked_rows(config, self._limits)
        if _digest(config) != digest:
            raise still_written(config.name)
        if known is not None and commit(digest, bytes.fromhex(known[0])) == known[1]:
            salt = known[0]
        return {
            "name": config.name,
            "columns": config.public_schema(),
            "rows": rows,
            "bucket": row_bucket(rows),
            "salt": salt,
            "commitment": commit(digest, bytes.fromhex(salt)),
        }

    def check(
        self, job: str, spec: dict[str, Any], dataset: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Refuse what can be refused of a private job without reading rows."""
        kind, asked = self._known(spec)
        kind.check(job, asked, _declaration(asked, dataset), self._limits)
        return {}

    def prepare(
        self,
        job: str,
        spec: dict[str, Any],
        dataset: dict[str, Any] | None,
        salt: str,
        commitment: str = "",
        keys: str = "",
        selection: str = "",
    ) -> dict[str, Any]:
        """Read the spec's columns and no others; prepare a job (again).

        With differential privacy no value in a row is refused (`datasources.tolerant`).

        If the file is not the committed one while it is read, nothing else is reported about it:
        `dataset_changed` takes precedence over any complaint about a row. Without a commitment
        nothing is compared. `keys` is the organisation's secret, hex, under which keys are drawn.
        A spec that takes rows which matched elsewhere reads those in the file `selection` alone.
        """
        kind, asked = self._known(spec)
        config = _declaration(asked, dataset)
        found = ""
        try:
            known = Secrets(bytes.fromhex(salt), bytes.fromhex(keys))
            limits = _selected(self._limits, asked, config, selection)
            prepared = kind.prepare(job, asked, config, limits, known)
            self._jobs[job] = kind, prepared
        finally:
            if config is not None:
                found = found_commitment(Path(config.path), bytes.fromhex(salt))
            if config is not None and commitment and found != commitment:
                self._jobs.pop(job, None)
                raise changed(config.name)
        return {
            "rows": prepared.rows, "validation": prepared.validation, "commitment": found,
        }  # fmt: skip

    def close(self, job: str) -> dict[str, Any]:
        """Forget a job and its rows."""
        self._jobs.pop(job, None)
        return {}

    def compute(self, verb: str, job: str, **arguments: Any) -> dict[str, Any]:
        """Return the sums of a step of the job's kind, and the seconds that they took."""
        kind, prepared = self._prepared(job)
        step = kind.steps[verb]
        return _timed(lambda: step(prepared.state, **arguments))

    def _known(self, spec: dict[str, Any]) -> tuple[WorkerKind, JobSpec]:
        asked = self._kinds.specs.parse(spec)
        self._kinds.specs.check(asked)
        return self._kinds[asked.kind], asked

    def _prepared(self, job: str) -> tuple[WorkerKind, Prepared]:
        if job not in self._jobs:
            raise SecureFlowError(
                "job_not_prepared",
                Text("The worker holds no job {job!r}.", job=job),
                "Prepare the job before it computes.",
            )
        return self._jobs[job]


def _declaration(spec: JobSpec, dataset: dict[str, Any] | None) -> DatasetConfig | None:
    if dataset is None or not spec.reads_rows:
        return None
    return parse(DatasetConfig, dataset, "dataset")


def _selected(
    limits: SourceLimits, spec: JobSpec, config: DatasetConfig | None, selection: str
) -> SourceLimits:
    """Return the limits of a job's reading: without its selection a step reads no row.

    Raises:
        SecureFlowError: `worker_failed`.
    """
    if spec.rows is None or config is None:
        return limits
    import numpy as np

    if not selection:
        raise _failed_rows()
    numbers = np.fromfile(selection, "<i8")
    if bool((numbers < 0).any()) or len(np.unique(numbers)) != len(numbers):
        raise _failed_rows()
    return replace(limits, rows=numbers)


def _failed_rows() -> SecureFlowError:
    return SecureFlowError("worker_failed", "It has no list of the rows that it may read.")


def _checked_rows(config: DatasetConfig, limits: SourceLimits) -> int:
    """Return how many rows a dataset has, if each of them fits the declaration."""
    rows = open_source(with_person(config), limits).describe().rows
    if config.key is not None:
        read_with_keys(config, limits, (), tolerant=False)
    return rows


def _digest(config: DatasetConfig) -> bytes:
    """Return the digest of a dataset's file or folder.

    Raises:
        SecureFlowError: `dataset_changed`, for a folder that something writes to.
    """
    try:
        return content_digest(Path(config.path))
    except FolderChangedError:
        raise still_written(config.name) from None


def serve(requests: BinaryIO, answers: BinaryIO, worker: Worker) -> None:
    """Answer request lines until the stream ends or a line is too long."""
    while line := requests.readline(LINE_BYTES + 1):
        if len(line) > LINE_BYTES or _abandoned(requests):
            return
        answers.write(worker.answer(line))
        answers.flush()


def _abandoned(requests: BinaryIO) -> bool:
    """Tell whether nobody holds the other end of the channel any more.

    Such a request is older than the agent's end. Bubblewrap ends with its agent from the moment on
    at which it runs this process, so that an agent that lives now will take the process with it.
    """
    try:
        handle = requests.fileno()
    except OSError:  # no file: a test's
        return False
    if not stat.S_ISSOCK(os.fstat(handle).st_mode):
        return False
    looking = select.poll()
    looking.register(handle, 0)
    return any(found & select.POLLHUP for _, found in looking.poll(0))


def main(kinds: WorkerKinds = WORKER_KINDS) -> None:
    """Tie this process to its parent, reserve stdout for answers, and serve."""
    _die_with_parent()
    _restrict(int(os.environ.get("SECUREFLOW_WORKER_MEMORY", "0")))
    # A library that prints must not break the protocol: for it, stdout becomes stderr.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.meta_path.insert(0, _Unwanted())
    serve(sys.stdin.buffer, answers, Worker(SourceLimits(), kinds))


class _Unwanted:
    """Finds no pandas: pyarrow looks for it where it is installed, to know its tables.

    No step of ours uses one, and it takes a quarter of a second and 60 MB.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Say that there is no such module, or nothing (`importlib.abc.MetaPathFinder`)."""
        del path, target
        if name == "pandas":
            raise ModuleNotFoundError(name, name=name)


def _die_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the agent
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = int(os.environ.get("SECUREFLOW_WORKER_PARENT", "0"))
    if parent and os.getppid() != parent:  # it died before the call took effect
        sys.exit(1)


def _restrict(memory: int) -> None:
    os.umask(0o077)  # an update in clear is only for this organisation
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold rows
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _timed(compute: Callable[[], Any]) -> dict[str, Any]:
    start = time.perf_counter()
    sums = compute()
    return {"sums": sums.tolist(), "seconds": time.perf_counter() - start}


def _failure(code: str, reason: str) -> dict[str, Any]:
    hint = "See the agent's log; if it happens again, report it with the job's spec."
    return SecureFlowError(
        code, Text("The worker process failed: {reason}.", reason=reason), hint
    ).as_json()


if __name__ == "__main__":
    main()
