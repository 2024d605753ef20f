"""Notices a clock that goes wrong while a link is up; the link itself checks when it is made."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

INTERVAL: Final = 3600.0
"""Seconds between two checks."""


class CentreLink(Protocol):
    """The link to the centre (`adapters.link.Link`)."""

    connected: asyncio.Event
    clock_ahead: int | None

    async def call(self, kind: str, body: dict[str, JSON]) -> JSON:
        """Call the centre."""

    def compare(self, theirs: JSON) -> None:
        """Compare this clock with the centre's time; log it if they differ much."""


class ClockWatch:
    """Compares this clock with the centre's every hour.

    Args:
        link: the link to the centre.
    """

    def __init__(self, link: CentreLink) -> None:
        self._link = link

    @property
    def skew(self) -> int | None:
        """Seconds by which the centre's clock was last ahead; None before the first check.

        This does not show which of the two is wrong.
        """
        ahead = self._link.clock_ahead
        return None if ahead is None else -ahead

    async def run(self) -> None:
        """Check periodically, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self._link.connected.wait()
            await self.check()

    async def check(self) -> None:
        """Request the centre's time."""
        try:
            answer = await self._link.call("status", {})
        except SecureFlowError:
            return  # the link reports what is wrong with it
        if isinstance(answer, dict):
            self._link.compare(answer.get("time"))
