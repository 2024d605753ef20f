"""Work that cancellation does not interrupt: the caller is released when it is done.

For a database, for one: SQLAlchemy discards a connection whose work is cancelled. SQLite keeps a
connection closed this way, with its write lock, for as long as anything refers to one of its
cursors, such as a traceback: until then every other writer gets `database_busy`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def shielded(work: Awaitable[T], undo: Callable[[T], Awaitable[object]] | None = None) -> T:
    """Return the result of the work; a cancelled caller is released when it is done.

    Args:
        work: something that ends by itself: a statement, a commit, an opening, a write.
        undo: disposes of its result if the caller was cancelled.
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
        task.exception()  # retrieve the exception: nobody else will
