"""Wakes who waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class Bus(Protocol):
    """Wakes waiters: something happened on a topic (payloads live in the database)."""

    async def publish(self, topic: str) -> None:
        """Wake the topic's listeners."""

    def listen(self, topic: str) -> AsyncIterator[None]:
        """Yield once at once, then after every publish (merged when slow)."""
