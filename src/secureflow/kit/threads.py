"""Opening in a thread: a caller that is cancelled leaves nothing open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")


async def open_in_thread(make: Callable[[], Made], unmake: Callable[[Made], object]) -> Made:
    """Return what `make` opens, in a thread.

    Args:
        make: opens or makes it.
        unmake: closes or removes it if the caller was cancelled.
    """
    making = asyncio.ensure_future(asyncio.to_thread(make))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        making.add_done_callback(lambda done: done.exception() or unmake(done.result()))
        raise
