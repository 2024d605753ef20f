"""What a centre cannot do for a while is waited for: its failure is not this party's.

Blobs of one that was restarted: it knows whom it told of what once it has asked again. Calls in
the middle of a job: its database may fail just then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from secureflow.domain.errors import INFRASTRUCTURE
from secureflow.kit.backoff import Backoff
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries; a restarted centre delivers its open requests within a few."""

PASSING: Final = {"link_broken", "link_silent", "rate_limited"} | INFRASTRUCTURE
"""What a centre, or the link to it, says for a while."""
CALLED_SECONDS: Final = 600.0
"""How long a call of a job is tried: it ends before where the job does."""
FIRST: Final = 0.25
LONGEST: Final = 10.0
"""Seconds between two tries of a call."""
_log = get_logger(__name__)


async def retry_while_away(attempt: Callable[[], Awaitable[None]]) -> None:
    """Fetch or store a blob, and again while the centre does not know that it asked for it.

    Raises:
        SecureFlowError: the link's.
    """
    for pause in PAUSES:
        try:
            await attempt()
        except SecureFlowError as error:
            if error.code not in {"forbidden", "not_found"}:
                raise
            await asyncio.sleep(pause)
        else:
            return
    await attempt()


async def call_with_retries(kind: str, ask: Callable[[], Awaitable[JSON]]) -> JSON:
    """Ask the centre something in the middle of a job, and again while it cannot answer.

    Its database may fail just then, or the link break: that is no failure of this party's work. The
    log says once that it is waited for.

    Raises:
        SecureFlowError: the centre's refusal; what it could not for `CALLED_SECONDS`.
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
