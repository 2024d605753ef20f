"""A look that fails says nothing of a worker: none is ended because its agent could not look."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secureflow.adapters.sandbox import PlainSandbox
from secureflow.agent.compute import standstill, worker_process
from secureflow.agent.compute.worker_process import WorkerConfig, WorkerProcess, WorkerStill
from secureflow.application.ports.sandbox import Launch


def test_nothing_is_seen_without_descriptors() -> None:
    assert standstill.used_by(os.getpid()) >= 0
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        seen = standstill.used_by(os.getpid())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert seen == -1


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_look_that_missed_one_process_saw_nothing(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the one that works, below one that waits for it."""
    real = standstill.stat_fields

    def missed(stat: Path) -> list[str]:
        if stat.parent.name == "1":
            raise OSError(number, os.strerror(number))
        return real(stat)

    monkeypatch.setattr(standstill, "stat_fields", missed)
    assert standstill.used_by(os.getpid()) == -1


def test_what_ends_while_it_is_looked_at_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = standstill.stat_fields

    def ended(stat: Path) -> list[str]:
        if stat.parent.name == "1":
            raise ProcessLookupError(errno.ESRCH, "it has ended")
        return real(stat)

    monkeypatch.setattr(standstill, "stat_fields", ended)
    assert standstill.used_by(os.getpid()) >= 0


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "none"), RuntimeError("no thread")])
async def test_a_watch_that_fails_ends_no_worker_and_one_that_stands_is_still_seen(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    answer: dict[str, Any] = {"id": 1, "answer": {}}
    answered = asyncio.Event()

    async def fails(pid: int) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            answered.set()
        await asyncio.sleep(0.001)
        if looks < 6:
            raise error

    async def exchange(process: WorkerProcess, line: bytes) -> dict[str, Any]:
        await answered.wait()
        return answer

    monkeypatch.setattr(worker_process, "stands_still", fails)
    monkeypatch.setattr(WorkerProcess, "_exchange", exchange)
    process: Any = SimpleNamespace(pid=os.getpid())
    worker = WorkerProcess(process, WorkerConfig(sandbox=PlainSandbox()), Launch(("x",), {}))
    assert await worker._watched(b"") == answer
    answered = asyncio.Event()
    with pytest.raises(WorkerStill):
        await worker._watched(b"")
    assert looks == 6
