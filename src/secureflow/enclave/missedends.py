"""Jobs that ended while this enclave was away: it asks which ones, and forgets them.

The end of a job waits for nobody. An enclave that was cut off would otherwise keep the keys, the
model and the buffers of a job that nobody continues. The centre gains nothing by lying: it can send
`finish` at any time.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from secureflow.enclave.verbs import EnclaveVerbs
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

INTERVAL: Final = 30.0
"""Seconds between two questions, while jobs are open."""
AT_ONCE: Final = 100
"""Jobs in one question; the centre accepts no more."""

_log = get_logger(__name__)


class CentreLink(Protocol):
    """The link to the centre (`adapters.link.Link`)."""

    connected: asyncio.Event

    async def call(self, kind: str, body: dict[str, JSON]) -> JSON:
        """Make a call to the centre."""


async def forget_ended(link: CentreLink, verbs: EnclaveVerbs) -> None:
    """Ask at the first connection, then periodically, until cancelled."""
    while True:
        await link.connected.wait()
        try:
            await ask(link, verbs)
        except SecureFlowError as error:
            _log.warning("ends_not_asked_for", code=error.code, message=error.message)
        await asyncio.sleep(INTERVAL)


async def ask(link: CentreLink, verbs: EnclaveVerbs) -> None:
    """Ask about every open job, and forget those that have ended.

    Raises:
        SecureFlowError: those of the link or the centre.
    """
    jobs = verbs.open_jobs
    for at in range(0, len(jobs), AT_ONCE):
        answer = await link.call("job.ends", {"jobs": jobs[at : at + AT_ONCE]})
        over = answer.get("over") if isinstance(answer, dict) else None
        for job in over if isinstance(over, list) else ():
            await verbs.handle("finish", {"job": job})
