"""Faults that a job waits out: its driver retries, with growing pauses, until the job ends.

A busy, unavailable or full database is not a failure of the job. The driver drops its state and
restarts from the journal, exactly as after a crash: an external effect that was performed but not
journalled is requested again under the same key, and nothing is recorded twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any, Final, TypeVar

from secureflow.domain.errors import INFRASTRUCTURE
from secureflow.kit.backoff import Backoff
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.text import Text

FIRST: Final = 0.25
"""Seconds before the second attempt; each later pause is twice as long."""
LONGEST: Final = 10.0
T = TypeVar("T")


class DriverBackoff:
    """The pauses of one job's driver."""

    def __init__(self) -> None:
        self._pauses = Backoff(FIRST, LONGEST)
        self._woken = asyncio.Event()

    async def wait(self) -> None:
        """Pause, longer each time, or until `wake`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pauses.next()):
                await self._woken.wait()
        self._woken.clear()

    def wake(self) -> None:
        """End the pause: the database was seen to work."""
        self._woken.set()

    def reset(self) -> None:
        """Start with short pauses again: a step was committed."""
        self._pauses.reset()


def passes(error: SecureFlowError) -> bool:
    """Tell whether the driver should wait out an error.

    The class decides, not the code: `database_busy` from a party is a failure of that party.
    `stale_version`: a person changed the job between our read and our write.
    """
    return isinstance(error, InfrastructureError) or error.code == "stale_version"


async def retry_stale(work: Callable[[], Awaitable[T]], tries: int | None = None) -> T:
    """Repeat a unit of work while others change what it read before it writes (`stale_version`).

    Args:
        work: reads and writes in one unit of work.
        tries: maximum attempts; None for as long as it takes.
    """
    numbers = count(1)
    while True:
        try:
            return await work()
        except SecureFlowError as error:
            if error.code != "stale_version" or next(numbers) == tries:
                raise


def resumes_by_itself(error: Mapping[str, Any] | None) -> bool:
    """Tell whether a paused job with this error is resumed automatically."""
    return error is not None and error.get("code") in INFRASTRUCTURE


def defect(job: str) -> SecureFlowError:
    """Return the error of a job stopped by a bug; its traceback is only in the log."""
    return SecureFlowError(
        "internal",
        Text("Job {job} met a defect of the server.", job=job),
        Text(
            "The operator finds the trace in the server's log. When it is fixed: "
            "secureflow job resume {job}.",
            job=job,
        ),
    )
