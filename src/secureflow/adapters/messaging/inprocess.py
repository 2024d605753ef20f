"""The bus of one process: topics wake their listeners; payloads live in the database.

A busy listener gets many publishes merged: it reads the database anyway.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator


class InProcessBus:
    """Implements the `Bus` port with one event per listener."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @property
    def topics(self) -> list[str]:
        """The topics with listeners."""
        return list(self._listeners)

    async def publish(self, topic: str) -> None:
        """Wake the topic's listeners."""
        for woken in self._listeners.get(topic, ()):
            woken.set()

    async def listen(self, topic: str) -> AsyncIterator[None]:
        """Yield once immediately, then after every publish (merged if the listener is slow)."""
        woken = asyncio.Event()
        self._listeners[topic].add(woken)
        try:
            while True:
                yield
                await woken.wait()
                woken.clear()
        finally:
            self._listeners[topic].discard(woken)
            if not self._listeners[topic]:
                del self._listeners[topic]
