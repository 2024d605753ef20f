"""Several coroutines at once: the first error ends all of them, and is raised as it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable
from typing import Any

from secureflow.kit.errors import SecureFlowError
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


async def until_broken(work: Coroutine[Any, Any, None]) -> None:
    """Do work over the channels until one breaks; `Peers.watch` says which."""
    with contextlib.suppress(SecureFlowError):
        await work


async def first(tasks: set[asyncio.Task[Any]], wanted: asyncio.Task[Any]) -> Any:
    """Return the result of the wanted task, or raise the first error of any of them."""
    left = tasks
    while not wanted.done():
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for one in sorted(done, key=lambda task: task is wanted):
            one.result()
    return wanted.result()
