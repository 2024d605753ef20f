"""How a party asks the centre for the ends of jobs that it missed: when, and how many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Protocol

from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

INTERVAL: Final = 30.0
"""Seconds between two times of asking."""
AT_ONCE: Final = 100
"""Jobs in one request; the centre accepts no more."""

_log = get_logger(__name__)


class CentreLink(Protocol):
    """The link to the centre (`adapters.link.Link`)."""

    connected: asyncio.Event

    async def call(self, kind: str, body: dict[str, JSON]) -> JSON:
        """Call the centre."""


async def keep_asking(link: CentreLink, ask: Callable[[], Awaitable[None]]) -> None:
    """Ask at the first connection, and then periodically, until cancelled."""
    while True:
        await link.connected.wait()
        try:
            await ask()
        except SecureFlowError as error:
            _log.warning("ends_not_asked_for", code=error.code, message=error.message)
        await asyncio.sleep(INTERVAL)


async def ask_for_ends(link: CentreLink, jobs: Sequence[str]) -> AsyncIterator[JSON]:
    """Ask how jobs ended, and return the centre's answers, one for each portion.

    Raises:
        SecureFlowError: those of the link or the centre.
    """
    for at in range(0, len(jobs), AT_ONCE):
        yield await link.call("job.ends", {"jobs": list(jobs[at : at + AT_ONCE])})
