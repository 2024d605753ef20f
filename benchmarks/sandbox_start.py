"""What the sandbox adds to the start of a worker: one JSON line.

Usage: `python -m benchmarks.sandbox_start [--times N]`. A start is over with the answer to the
first request of the built-in worker. Bare and confined starts alternate, so that other work on the
machine meets both; `bar_ms` is what the medians may differ by. `empty_…` load nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Coroutine

from secureflow.adapters.sandbox import BubblewrapSandbox, PlainSandbox
from secureflow.agent.compute.worker_process import WorkerConfig, WorkerProcess
from secureflow.application.ports.sandbox import Launch, Limits, Sandbox

BAR_MS = 100
_SAY = "print(1, flush=True); input()"


async def worker(sandbox: Sandbox) -> None:
    """Start a worker, hear its first answer, end it."""
    process = await WorkerProcess.start(WorkerConfig(sandbox=sandbox, memory=8 << 30))
    try:
        await process.request("close", {"job": "job"})
    finally:
        await process.kill()


async def empty(sandbox: Sandbox) -> None:
    """Start an interpreter that loads nothing."""
    launch = Launch((sys.executable, "-I", "-S", "-c", _SAY), limits=Limits(memory=8 << 30))
    process = await sandbox.start(launch)
    try:
        await process.reader.readline()
    finally:
        await process.kill()


async def medians(
    start: Callable[[Sandbox], Coroutine[None, None, None]], times: int
) -> tuple[float, float]:
    """Return the median milliseconds of a bare and of a confined start."""
    took: dict[str, list[float]] = {}
    sandboxes: tuple[Sandbox, ...] = (PlainSandbox(), BubblewrapSandbox())
    for sandbox in sandboxes:
        await start(sandbox)  # what is read from the disk, is read now
    for _ in range(times):
        for sandbox in sandboxes:
            began = time.perf_counter()
            await start(sandbox)
            took.setdefault(sandbox.name, []).append(1000 * (time.perf_counter() - began))
    bare, confined = (statistics.median(found) for found in took.values())
    return bare, confined


async def measure(times: int) -> dict[str, float]:
    """Return the figures."""
    bare, confined = await medians(worker, times)
    empty_bare, empty_confined = await medians(empty, times)
    return {
        "bare_ms": round(bare, 1),
        "confined_ms": round(confined, 1),
        "added_ms": round(confined - bare, 1),
        "empty_bare_ms": round(empty_bare, 1),
        "empty_confined_ms": round(empty_confined, 1),
        "bar_ms": BAR_MS,
    }


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15)
    print(json.dumps(asyncio.run(measure(parser.parse_args().times))))


if __name__ == "__main__":
    main()
