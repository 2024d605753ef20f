"""Ends of jobs that this agent missed: it asks the centre for them while the link is up.

The centre then sends `finish` for those that are over, as at any end, and that request is checked
like any other: against the log's head, the spec and the record. A lying centre gains nothing new: a
job that it calls over ends here, and is charged for the rows that were read.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from secureflow.agent.record.store import RecordStore
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

INTERVAL: Final = 30.0
"""Seconds between two requests, while there is something to ask for."""
AT_ONCE: Final = 100
"""Jobs in one request; the centre accepts no more."""

_log = get_logger(__name__)


class CentreLink(Protocol):
    """The link to the centre (`adapters.link.Link`)."""

    connected: asyncio.Event

    async def call(self, kind: str, body: dict[str, JSON]) -> JSON:
        """Call the centre."""


class MissedEnds:
    """Asks how open jobs ended.

    Args:
        link: the link to the centre.
        store: the agent's record.
    """

    def __init__(self, link: CentreLink, store: RecordStore) -> None:
        self._link = link
        self._store = store

    async def run(self) -> None:
        """Ask at the first connection, and then periodically, until cancelled."""
        while True:
            await self._link.connected.wait()
            try:
                await self.ask()
            except SecureFlowError as error:
                _log.warning("ends_not_asked_for", code=error.code, message=error.message)
            await asyncio.sleep(INTERVAL)

    async def ask(self) -> None:
        """Ask for every job that is not over here, or whose leaves are not proved to be in the log.

        Raises:
            SecureFlowError: of the link or the centre.
        """
        jobs = await asyncio.to_thread(self._store.unended)
        for at in range(0, len(jobs), AT_ONCE):
            await self._link.call("job.ends", {"jobs": jobs[at : at + AT_ONCE]})
