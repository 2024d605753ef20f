"""What a process of the platform may open, and how it ends.

Told by SIGTERM or SIGINT, it lets go of what it serves.
"""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Coroutine
from typing import Any, Final

from secureflow.kit.logging import get_logger

MOST_DESCRIPTORS: Final = 1 << 20

_log = get_logger(__name__)


def raise_descriptors() -> int:
    """Allow this process as many open files as the system lets it; return how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # a hard limit above what the kernel allows
            return soft
    return wanted


def run_until_told(serving: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a fresh event loop until it ends or the process is told to stop.

    Whatever `serving` raises comes through; being told to stop is no error.
    """
    asyncio.run(_until_told(serving))


async def _until_told(serving: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(serving)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        _log.info("stopped")
