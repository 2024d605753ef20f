"""Wake-ups for waiting tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class Bus(Protocol):
    """Wakes waiters: something happened on a topic (payloads live in the database)."""

    async def publish(self, topic: str) -> None:
        """Wake the topic's listeners."""

    def listen(self, topic: str) -> AsyncIterator[None]:
        """Yield once immediately, then after every publish (merged if the listener is slow)."""
