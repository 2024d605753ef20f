"""The parent's end of a worker: started with a stripped environment, called over its pipes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.agent.compute.worker import LINE_BYTES
from secureflow.kit.canonical import parse_json
from secureflow.kit.disk import FULL, TOO_MANY
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.text import Text

MODULE: Final = "secureflow.agent.compute.worker"
"""The worker process with SecureFlow's own kinds of job."""


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
    """

    module: str = MODULE
    memory: int = 0
    threads: int = 1
    python: str = sys.executable

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a worker: nothing is inherited from the agent."""
        libraries = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
        return {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "ARROW_DEFAULT_MEMORY_POOL": "system",  # reserves no address space in advance
            "SECUREFLOW_WORKER_MEMORY": str(self.memory),
            "SECUREFLOW_WORKER_PARENT": str(os.getpid()),
            **{f"{library}_NUM_THREADS": str(self.threads) for library in libraries},
        }


class WorkerDied(Exception):  # noqa: N818 - an event between the two classes here, not yet an error
    """The process ended, or sent something that is not an answer, while a request was open."""


def _own_fault(error: SecureFlowError) -> SecureFlowError:
    """Return a worker's error; a full disk or a limit is this machine's fault as well."""
    if error.code not in {FULL, TOO_MANY}:
        return error
    return InfrastructureError(error.code, error.message, error.hint, {"part": "model files"})


class WorkerProcess:
    """One child process, one request at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._next = 0

    @classmethod
    async def start(cls, config: WorkerConfig) -> WorkerProcess:
        """Spawn a worker in isolated mode with a stripped environment."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(config.python, "-I", "-m", config.module),
            stdin=pipe,
            stdout=pipe,
            env=config.environment,
            limit=LINE_BYTES,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """The operating system's process id."""
        return self._process.pid

    async def request(self, verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and return its answer.

        Raises:
            SecureFlowError: the worker's own error, or `too_large` for a request beyond a line.
            WorkerDied: there is no answer; the process is gone.
        """
        self._next += 1
        body = {"id": self._next, "verb": verb, "arguments": dict(arguments)}
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
            reply = await self._exchange(line)
        except BaseException:  # cancellation too: a process with an open answer is unusable
            await self.kill()
            raise
        if "error" in reply:
            raise _own_fault(SecureFlowError.from_json(reply["error"]))
        answer: dict[str, Any] = reply["answer"]
        return answer

    async def kill(self) -> None:
        """Kill the process (it has no state to lose) and reap it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _exchange(self, line: bytes) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise WorkerDied
        try:
            stdin.write(line)
            await stdin.drain()
            reply = parse_json(await stdout.readuntil(), LINE_BYTES)
        except (
            OSError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            SecureFlowError,
        ) as error:
            raise WorkerDied from error
        if not isinstance(reply, dict) or reply.get("id") != self._next:
            raise WorkerDied
        return reply
