"""Retries what the centre cannot do for a while: its outage is not this party's failure.

For blobs: a restarted centre does not know which blobs it asked for until it has asked again. For
calls in the middle of a job: its database may fail at that moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from secureflow.domain.errors import INFRASTRUCTURE, NOT_ASKED_FOR
from secureflow.kit.backoff import Backoff
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts; a restarted centre delivers its open requests within a few."""

PASSING: Final = {"link_broken", "link_silent", "rate_limited"} | INFRASTRUCTURE
"""Errors of a centre, or of the link to it, that are temporary."""
CALLED_SECONDS: Final = 600.0
"""Seconds for which a call of a job is retried; it gives up before the job does."""
FIRST: Final = 0.25
LONGEST: Final = 10.0
"""Seconds between two attempts of a call."""
_log = get_logger(__name__)


async def retry_while_away(attempt: Callable[[], Awaitable[None]]) -> None:
    """Fetch or store a blob; retry while the centre does not know that it asked for it.

    Raises:
        SecureFlowError: the link's.
    """
    for pause in PAUSES:
        try:
            await attempt()
        except SecureFlowError as error:
            if error.code not in NOT_ASKED_FOR:
                raise
            await asyncio.sleep(pause)
        else:
            return
    await attempt()


async def call_with_retries(kind: str, ask: Callable[[], Awaitable[JSON]]) -> JSON:
    """Call the centre in the middle of a job; retry while it cannot answer.

    Its database may fail at that moment, or the link break: that is not a failure of this party's
    work. The wait is logged once.

    Raises:
        SecureFlowError: the centre's refusal; its temporary error after `CALLED_SECONDS`.
    """
    clock = asyncio.get_running_loop().time
    until, pauses, logged = clock() + CALLED_SECONDS, Backoff(FIRST, LONGEST), False
    while True:
        try:
            return await ask()
        except SecureFlowError as error:
            if error.code not in PASSING or clock() >= until:
                raise
            if not logged:
                _log.warning("centre_awaited", call=kind, code=error.code, message=error.message)
                logged = True
        await asyncio.sleep(pauses.next())
