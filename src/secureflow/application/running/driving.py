"""Faults that a job waits out: its driver tries again, with growing pauses, while the job lives.

A database that is busy, away or full is nobody's failure in the job. The driver forgets where it
was and begins from the journal, exactly as after a crash: an outside effect that was performed and
not journalled is asked for again under the same key, and nothing is recorded twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any, Final, TypeVar

from secureflow.domain.errors import INFRASTRUCTURE
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.pauses import Pauses
from secureflow.kit.text import Text

FIRST: Final = 0.25
"""Seconds before the second try; each later pause is twice as long."""
LONGEST: Final = 10.0
T = TypeVar("T")


class DriverPauses:
    """The pauses of one job's driver."""

    def __init__(self) -> None:
        self._pauses = Pauses(FIRST, LONGEST)
        self._woken = asyncio.Event()

    async def wait(self) -> None:
        """Pause, longer each time, or until `wake`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pauses.next()):
                await self._woken.wait()
        self._woken.clear()

    def wake(self) -> None:
        """End the pause: somebody saw the database work."""
        self._woken.set()

    def restart(self) -> None:
        """Begin with short pauses again: a step became durable."""
        self._pauses.restart()


def passes(error: SecureFlowError) -> bool:
    """Tell whether what stopped a driver is to be waited out.

    The class is asked, not the code: a party that answers `database_busy` is a party that fails.
    `stale_version`: a person changed the job between a read of ours and a write.
    """
    return isinstance(error, InfrastructureError) or error.code == "stale_version"


async def retry_stale(work: Callable[[], Awaitable[T]], tries: int | None = None) -> T:
    """Do a unit of work again while others change what it read before it writes (`stale_version`).

    Args:
        work: reads and writes in one unit of work.
        tries: how often at most; None for as long as it takes.
    """
    numbers = count(1)
    while True:
        try:
            return await work()
        except SecureFlowError as error:
            if error.code != "stale_version" or next(numbers) == tries:
                raise


def resumes_by_itself(error: Mapping[str, Any] | None) -> bool:
    """Tell whether a paused job with this error is taken up without anybody's word."""
    return error is not None and error.get("code") in INFRASTRUCTURE


def defect(job: str) -> SecureFlowError:
    """Return what is told of a job that a defect stopped: its trace is for the log alone."""
    return SecureFlowError(
        "internal",
        Text("Job {job} met a defect of the server.", job=job),
        Text(
            "The operator finds the trace in the server's log. When it is fixed: "
            "secureflow job resume {job}.",
            job=job,
        ),
    )
