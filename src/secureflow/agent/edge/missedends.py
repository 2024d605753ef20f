"""Ends of jobs that this agent missed: it asks the centre for them while the link is up.

The centre then sends `finish` for those that are over, as at any end, and that request is checked
like any other: against the log's head, the spec and the record. A lying centre gains nothing new: a
job that it calls over ends here, and is charged for the rows that were read.
"""

from __future__ import annotations

import asyncio

from secureflow.adapters.link.missedends import CentreLink, ask_for_ends, keep_asking
from secureflow.agent.record.store import RecordStore


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
        await keep_asking(self._link, self.ask)

    async def ask(self) -> None:
        """Ask for every job that is not over here, or whose leaves are not proved to be in the log.

        Raises:
            SecureFlowError: of the link or the centre.
        """
        jobs = await asyncio.to_thread(self._store.unended)
        async for _ in ask_for_ends(self._link, jobs):
            pass  # the centre asks this agent to finish those that are over
