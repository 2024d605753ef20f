"""How a process of the platform ends: told by SIGTERM or SIGINT, it lets go of what it serves."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from secureflow.kit.logging import get_logger

_log = get_logger(__name__)


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
