"""Locks by name: one piece of expensive work per member at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final
from weakref import WeakValueDictionary

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MOST_WAITING: Final = 8
"""Maximum pieces of work per name, running or waiting."""


class NamedLocks:
    """One lock for each name, fair in the order of asking."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._asked: Counter[str] = Counter()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """Wait for the name's lock, and hold it inside the block.

        Raises:
            SecureFlowError: `rate_limited` if too many are waiting already.
        """
        if self._asked[name] >= self._most:
            raise SecureFlowError(
                "rate_limited",
                Text(
                    "{name} is already waiting for {most} answers that take long.",
                    name=name,
                    most=self._most,
                ),
                "Wait for them, then ask again.",
                {"retry_after": 1},
            )
        lock = self._locks.setdefault(name, asyncio.Lock())
        self._asked[name] += 1
        try:
            async with lock:
                yield
        finally:
            self._asked[name] -= 1
            if not self._asked[name]:
                del self._asked[name]
