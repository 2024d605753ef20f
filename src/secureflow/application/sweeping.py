"""The sweeper: deletes expired rows once an hour."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

INTERVAL: Final = 3600.0

_log = get_logger(__name__)


async def sweep(begin: UnitOfWorkFactory, clock: Clock) -> int:
    """Delete expired tokens, dead enrolments and old idempotent answers; return how many."""
    async with begin() as work:
        gone = await work.sweep(clock())
        await work.commit()
    return gone


async def keep_swept(
    begin: UnitOfWorkFactory,
    clock: Clock,
    interval: float = INTERVAL,
    also: Sequence[Callable[[], Awaitable[int]]] = (),
) -> None:
    """Sweep every `interval` seconds, until cancelled.

    Not at once: a machine that has just started may have the wrong year until its clock is set, and
    tokens deleted by mistake are lost.
    """
    while True:
        await asyncio.sleep(interval)
        try:
            gone = await sweep(begin, clock)
            for another in also:
                gone += await another()
        except SecureFlowError as error:  # a busy database; retried next time
            _log.warning("sweep_failed", code=error.code)
        except Exception:  # noqa: BLE001  the edge of a task: an unavailable database comes back
            _log.exception("sweep_failed")
        else:
            if gone:
                _log.info("swept", rows=gone)
