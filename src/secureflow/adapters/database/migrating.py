"""One process migrates a database; others that start meanwhile wait for it, and say so.

What they wait for is a lock of the database (`engine.migrate`). A process that is killed in a
migration leaves nothing of it, and the next one migrates.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from secureflow.kit.backoff import Backoff
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

MIGRATION_SECONDS: Final = 600.0
"""How long a start waits for another process that migrates: large tables are written anew."""
FIRST: Final = 0.1
LONGEST: Final = 2.0
"""Seconds between two attempts."""

_log = get_logger(__name__)


async def migrated(attempt: Callable[[], Awaitable[bool]], name: str) -> None:
    """Migrate a database, or wait for another process that does so; the log says so.

    Args:
        attempt: migrates it; false, and nothing is done, while another process does.
        name: the database's URL for people.

    Raises:
        SecureFlowError: `database_busy` after `MIGRATION_SECONDS`; those of the attempt.
    """
    until, pauses, waited = time.monotonic() + MIGRATION_SECONDS, Backoff(FIRST, LONGEST), False
    while not await attempt():
        left = until - time.monotonic()
        if left <= 0:
            raise SecureFlowError(
                "database_busy",
                Text(
                    "Another process has held the database {name} for {seconds:g} s; this version "
                    "must migrate it first.",
                    name=name,
                    seconds=MIGRATION_SECONDS,
                ),
                "If another server is migrating it, wait, and start this one again. Otherwise end "
                "that process: nothing remains of an interrupted migration.",
            )
        _log.warning("migration_awaited", database=name, seconds_left=round(left))
        waited = True
        await asyncio.sleep(min(pauses.next(), left))
    if waited:
        _log.info("migration_there", database=name)
