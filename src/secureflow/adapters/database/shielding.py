"""Database work that a cancellation does not cut in two.

SQLAlchemy throws a connection away whose work is cancelled. SQLite keeps a connection that was
closed so, and its write lock with it, for as long as anything refers to one of its cursors, a
traceback for example: every other writer is told `database_busy` until that is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def shielded(work: Awaitable[T], undo: Callable[[T], Awaitable[object]] | None = None) -> T:
    """Return what the work gives; who is cancelled meanwhile goes when it is done.

    Each piece of work has a bound of its own (`connections.BUSY_SECONDS`).

    Args:
        work: one statement, commit or opening.
        undo: puts away what it gave, where nobody is there to take it.
    """
    doing = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await _ended(doing)
        if undo is not None and not doing.cancelled() and doing.exception() is None:
            await _ended(asyncio.ensure_future(undo(doing.result())))
        raise


async def _ended(task: asyncio.Future[T]) -> None:
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # read: nobody else will
