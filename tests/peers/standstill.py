"""The loop's clock in a test's hand: time in which a process was awake, or stood still itself."""

from __future__ import annotations

import asyncio

import pytest


class Jumping:
    """The running loop's own clock, which a test moves on as a standstill does."""

    def __init__(self, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead, real = 0.0, loop.time
        monkeypatch.setattr(loop, "time", lambda: real() + self._ahead)

    async def stand(self, seconds: float) -> None:
        """Let time pass in which nothing of this process ran."""
        self._ahead += seconds
        await self._turn()

    async def live(self, seconds: float) -> None:
        """Let time pass in which this process was awake."""
        for _ in range(round(seconds / 0.5)):
            self._ahead += 0.5
            await self._turn()

    async def _turn(self) -> None:
        for _ in range(8):
            await asyncio.sleep(0)
