"""A database that is not there yet is waited for: beside this server it may start a little later.

What passes by itself (nobody listens, the service starts up, another process holds the lock) is
waited for; what does not (no such database, a password that is refused, a newer version's tables)
is told at once. Meanwhile the log, which goes to stderr, says what for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from secureflow.kit.errors import InfrastructureError
from secureflow.kit.logging import get_logger
from secureflow.kit.pauses import Pauses
from secureflow.kit.text import Joined, Text

FIRST: Final = 0.25
LONGEST: Final = 5.0
"""Seconds between two tries."""

_log = get_logger(__name__)


async def awaited(work: Callable[[], Awaitable[None]], database: str, seconds: float) -> None:
    """Do what needs the database, again while it is away or locked.

    Args:
        work: succeeds or changes nothing; it may be done again.
        database: its name, without a password.
        seconds: how long the first failure may lie back.

    Raises:
        InfrastructureError: of the last try.
    """
    loop = asyncio.get_running_loop()
    until, pauses, waited = loop.time() + seconds, Pauses(FIRST, LONGEST), False
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
