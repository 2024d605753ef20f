"""Waits for a database that is not available yet: it may start a little later than this server.

Temporary faults (nobody listens, the service starts up, another process holds the lock) are waited
out; others (no such database, a refused password, a newer version's tables) are raised at once. The
log, on stderr, says what is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from secureflow.kit.backoff import Backoff
from secureflow.kit.errors import InfrastructureError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Joined, Text

FIRST: Final = 0.25
LONGEST: Final = 5.0
"""Seconds between two attempts."""

_log = get_logger(__name__)


async def awaited(work: Callable[[], Awaitable[None]], database: str, seconds: float) -> None:
    """Do work that needs the database, and retry while it is unavailable or locked.

    Args:
        work: succeeds or changes nothing; it may be repeated.
        database: its name, without a password.
        seconds: time limit since the first failure.

    Raises:
        InfrastructureError: of the last attempt.
    """
    loop = asyncio.get_running_loop()
    until, pauses, waited = loop.time() + seconds, Backoff(FIRST, LONGEST), False
    while True:
        try:
            await work()
        except InfrastructureError as error:
            left = until - loop.time()
            if left <= 0:
                raise _given_up(error, database, seconds) from error
            _log.warning(
                "database_awaited", database=database, code=error.code, message=error.message,
                seconds_left=round(left),
            )  # fmt: skip
            waited = True
            await asyncio.sleep(min(pauses.next(), left))
        else:
            if waited:
                _log.info("database_there", database=database)
            return


def _given_up(error: InfrastructureError, database: str, seconds: float) -> InfrastructureError:
    named = (
        error.message
        if database in error.message
        else Text("{database}: {message}", database=database, message=error.message)
    )
    if seconds:
        how = Text("The wait was {seconds:g} s (database.wait_seconds).", seconds=seconds)
        named = Joined(" ", [named, how])
    return InfrastructureError(error.code, named, error.hint, error.details)
