"""Several coroutines at once: the first error ends all of them, and is raised as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from secureflow.kit.shielding import shielded


async def together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run until all have ended, or one raises; none runs on afterwards."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        await ended(tasks)


async def ended(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks and wait until they have ended; their errors are nobody's any more.

    Who is cancelled meanwhile waits nevertheless: what they hold is closed after them.
    """
    waiting = [*tasks]
    for one in waiting:
        one.cancel()
    await shielded(asyncio.gather(*waiting, return_exceptions=True))
