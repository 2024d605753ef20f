"""Things that are opened in a thread: who is cancelled meanwhile leaves none of them open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")


async def opened(make: Callable[[], Made], unmake: Callable[[Made], object]) -> Made:
    """Return what is made in a thread.

    Args:
        make: opens or makes it.
        unmake: closes or removes it, where nobody is there any more to take it.
    """
    making = asyncio.ensure_future(asyncio.to_thread(make))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        making.add_done_callback(lambda done: done.exception() or unmake(done.result()))
        raise
