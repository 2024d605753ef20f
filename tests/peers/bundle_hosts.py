"""A bundle's process without a sandbox, and hosts that lie."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from secureflow.agent.compute.bundle_process import BundleTask
from secureflow.agent.compute.tensor_layout import TensorLayout
from secureflow.kit.sourcetree import write_tree
from tests.peers.running import runs

LAYOUT = (TensorLayout("w", "float32", (2, 3)), TensorLayout("n", "int64", ()))


class PlainHost:
    """A process in a session of its own, which ends as a whole."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    async def freeze(self) -> None:
        self._tell(signal.SIGSTOP)

    async def thaw(self) -> None:
        self._tell(signal.SIGCONT)

    def _tell(self, what: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, what)

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()


async def plain_starter(command: Sequence[str], channel: int, log: int) -> PlainHost:
    """Start a command with nothing but the channel and the log."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=channel, stdout=channel, stderr=log, start_new_session=True,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1",
             "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    return PlainHost(process)


def task(folder: Path, source: str, **other: object) -> BundleTask:
    """Return the task of a bundle with one module."""
    write_tree(folder, {"model.py": source.encode()})
    made = {"python": sys.executable, "folder": str(folder), "entry": "model:Model",
            "tensors": LAYOUT, "sums": ("rows", "loss")}  # fmt: skip
    return BundleTask(**{**made, **other})  # type: ignore[arg-type]


def lying(folder: Path, source: str, **other: object) -> BundleTask:
    """Return a task whose host is this program; it gets `send`, `line` and `head`."""
    program = folder.with_suffix(".host.py")
    program.write_text(PREAMBLE + source)
    return task(folder, "", host=str(program), **other)


def change(made: BundleTask, old: str, new: str) -> None:
    """Change a lying host's program."""
    program = Path(made.host)
    program.write_text(program.read_text().replace(old, new))


async def printed(log: Path, text: str) -> None:
    """Wait until a bundle has printed this."""
    await _until(lambda: text in log.read_text())


async def gone(process: int) -> None:
    """Wait until a process has ended; whoever adopted it reaps it."""
    await _until(lambda: not runs(process))


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  other processes tell nobody
        await asyncio.sleep(0.01)


PREAMBLE = """
import json, os, struct, sys, time

def line():
    text = b""
    while not text.endswith(b"\\n"):
        one = os.read(0, 1)
        if not one:
            sys.exit(0)
        text += one
    head = json.loads(text)
    left = head["bytes"]
    while left:
        left -= len(os.read(0, min(left, 65536)))
    return head

def send(head, data=b""):
    data = (head if isinstance(head, bytes) else json.dumps(head).encode() + b"\\n") + data
    while data:
        data = data[os.write(1, data):]

send({"id": line()["id"], "bytes": 0})
asked = line()
size = 2 * 3 * 4 + 8
good = struct.pack("<6fq", *range(6), 7)

def pack(number):
    return struct.pack("<6fq", 0, 1, 2, number, 4, 5, 7)
"""
