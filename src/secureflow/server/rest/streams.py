"""Event streams: limited per user, and closed when the caller loses access."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Request

from secureflow.application.access import Principal
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.server.rest.callers import Caller

LOOK_AGAIN_SECONDS: Final = 30.0
"""How often an open stream checks whether its caller still has access."""

_Item = TypeVar("_Item")


class Streams:
    """Counts open streams by user."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    @contextlib.contextmanager
    def of(self, user: str) -> Iterator[None]:
        """Count one stream of the user while it is open.

        Raises:
            SecureFlowError: `rate_limited` if the user has too many open streams.
        """
        if self._open[user] >= self._most:
            raise SecureFlowError(
                "rate_limited",
                Text("You are already watching {most} jobs.", most=self._most),
                "Close a stream, or ask for the job's state now and then.",
            )
        self._open[user] += 1
        try:
            yield
        finally:
            self._open[user] -= 1
            if not self._open[user]:
                del self._open[user]


async def counted(request: Request, caller: Caller) -> AsyncIterator[Principal]:
    """Count the stream that this request opens, until its answer has ended (a dependency)."""
    streams: Streams = request.app.state.streams
    with streams.of(caller.user):
        yield caller


async def while_let_in(
    events: AsyncGenerator[_Item, None],
    let_in: Callable[[], Awaitable[bool]],
    seconds: float = LOOK_AGAIN_SECONDS,
) -> AsyncIterator[_Item]:
    """Yield the events until they end, or until their reader loses access.

    Args:
        events: closed at the end.
        let_in: tells whether the reader's token is still valid.
        seconds: how often that is checked, whether there are events or not.
    """
    look_again = time.monotonic() + seconds
    coming = asyncio.ensure_future(anext(events))
    try:
        while True:
            await asyncio.wait({coming}, timeout=max(0.0, look_again - time.monotonic()))
            if time.monotonic() >= look_again:
                if not await let_in():
                    return
                look_again = time.monotonic() + seconds
            if coming.done():
                yield await coming
                coming = asyncio.ensure_future(anext(events))
    except StopAsyncIteration:
        return
    finally:
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
            await coming
        await events.aclose()


Counted = Annotated[Principal, Depends(counted)]
"""The caller of a stream, which counts for them while it is open."""
