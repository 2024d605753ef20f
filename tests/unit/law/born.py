"""`python -m tests.unit.law.born end CODE|wait|agent`: what a test has the nursery fork."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from secureflow.agent.compute.worker_process import WorkerConfig, WorkerProcess


def main(do: str, *more: str) -> None:
    """Do it."""
    if do == "end":
        _end(more[0])
    if do == "agent":
        asyncio.run(_work())
    sys.stdout.write("waits\n")
    sys.stdout.flush()
    time.sleep(600)


def _end(how: str) -> None:
    sys.stdout.write(f"{dict(os.environ)}\n")
    if how == "error":
        raise ValueError(how)
    sys.exit(int(how) if how.isdigit() else how)


async def _work() -> None:
    worker = await WorkerProcess.start(WorkerConfig())
    await worker.request("close", {"job": "job_x"})
    sys.stdout.write(f"{worker.pid}\nworks\n")
    sys.stdout.flush()
    await asyncio.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
