"""Notices a clock that is wrong before certificates, verdicts and approvals fail because of it."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

JSON = Any
MAX_SKEW: Final = 120
"""Seconds by which the clocks may differ before certificates and approvals suffer."""
INTERVAL: Final = 3600.0
"""Seconds from one look to the next."""

_log = get_logger(__name__)


class Asking(Protocol):
    """The link to the centre (`adapters.link.Link`)."""

    connected: asyncio.Event

    async def call(self, kind: str, body: dict[str, JSON]) -> JSON:
        """Ask the centre something."""


class ClockWatch:
    """Compares this clock with the centre's once the link is up, and again every hour.

    Args:
        link: the way to the centre.
        clock: unix seconds.
    """

    def __init__(self, link: Asking, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self.skew: int | None = None
        """Seconds by which the centre's clock is ahead, as seen last; None before the first look.

        Which of the two is wrong, nobody knows from here."""

    async def run(self) -> None:
        """Look from time to time, until cancelled."""
        while True:
            await self._link.connected.wait()
            await self.look()
            await asyncio.sleep(INTERVAL)

    async def look(self) -> None:
        """Ask the centre for its time, and say so in the log if the clocks differ by too much."""
        try:
            answer = await self._link.call("status", {})
        except SecureFlowError:
            return  # the link says what is wrong with it
        theirs = answer.get("time") if isinstance(answer, dict) else None
        if type(theirs) is not int:
            return
        self.skew = theirs - self._clock()
        if abs(self.skew) > MAX_SKEW:
            _log.warning(
                "clock_skew",
                message=f"this clock and the centre's differ by {self.skew} s: set it (NTP), or "
                "certificates, verdicts and approvals will fail",
            )
