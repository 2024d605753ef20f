"""Jobs that ended while this enclave was away: it asks which ones, and forgets them.

The end of a job waits for nobody. An enclave that was cut off would otherwise keep the keys, the
model and the buffers of a job that nobody continues. The centre gains nothing by lying: it can send
`finish` at any time.
"""

from __future__ import annotations

from secureflow.adapters.link.missedends import CentreLink, ask_for_ends, keep_asking
from secureflow.enclave.verbs import EnclaveVerbs


async def forget_ended(link: CentreLink, verbs: EnclaveVerbs) -> None:
    """Ask at the first connection, then periodically, until cancelled."""

    async def again() -> None:
        await ask(link, verbs)

    await keep_asking(link, again)


async def ask(link: CentreLink, verbs: EnclaveVerbs) -> None:
    """Ask about every open job, and forget those that have ended.

    Raises:
        SecureFlowError: those of the link or the centre.
    """
    async for answer in ask_for_ends(link, verbs.open_jobs):
        over = answer.get("over") if isinstance(answer, dict) else None
        for job in over if isinstance(over, list) else ():
            await verbs.handle("finish", {"job": job})
