"""Deadlines that end when a test says so, not when a busy machine has been slow."""

from __future__ import annotations

import asyncio

import pytest


class Deadlines:
    """What waits with `asyncio.timeout`, by its seconds: a test gives one that nobody else has."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._made: list[tuple[float | None, asyncio.Timeout]] = []
        self._timeout = asyncio.timeout
        monkeypatch.setattr(asyncio, "timeout", self._noted)

    def _noted(self, delay: float | None) -> asyncio.Timeout:
        made = self._timeout(delay)
        self._made.append((delay, made))
        return made

    def of(self, seconds: float) -> list[asyncio.Timeout]:
        """Return those of so many seconds, in the order in which they began."""
        return [one for delay, one in self._made if delay == seconds]

    def expire(self, seconds: float) -> None:
        """End the last one of so many seconds now."""
        self.of(seconds)[-1].reschedule(asyncio.get_running_loop().time())
