"""Notices a clock that goes wrong while a link stands; when one is made, the link itself looks."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

INTERVAL: Final = 3600.0
"""Seconds from one look to the next."""


class CentreLink(Protocol):
    """The link to the centre (`adapters.link.Link`)."""

    connected: asyncio.Event
    clock_ahead: int | None

    async def call(self, kind: str, body: dict[str, JSON]) -> JSON:
        """Ask the centre something."""

    def compare(self, theirs: JSON) -> None:
        """Compare this clock with the centre's time; say so in the log if they differ much."""


class ClockWatch:
    """Compares this clock with the centre's every hour.

    Args:
        link: the way to the centre.
    """

    def __init__(self, link: CentreLink) -> None:
        self._link = link

    @property
    def skew(self) -> int | None:
        """Seconds by which the centre's clock is ahead, as seen last; None before the first look.

        Which of the two is wrong, nobody knows from here.
        """
        ahead = self._link.clock_ahead
        return None if ahead is None else -ahead

    async def run(self) -> None:
        """Look from time to time, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self._link.connected.wait()
            await self.check()

    async def check(self) -> None:
        """Ask the centre for its time."""
        try:
            answer = await self._link.call("status", {})
        except SecureFlowError:
            return  # the link says what is wrong with it
        if isinstance(answer, dict):
            self._link.compare(answer.get("time"))
