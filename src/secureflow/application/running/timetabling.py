"""`AwaitTime`: a run of a timetable begins at its time, or within the window after it, or never.

Whether it may is read from the job's own row when its time has come: somebody may have paused the
timetable (`PAUSED` in its progress; while the window lasts, taking it up again starts the run). An
account of its submitter that is gone ends it within a minute, however far the next run is: one that
is enabled again finds nothing that goes on as if it had not been. The answer is journalled with the
run that it starts, in one transaction, so a crash neither repeats nor loses one.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from secureflow.application.access import Principal, permit
from secureflow.application.accounts import is_active
from secureflow.application.listing import list_first
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.jobs import Job
from secureflow.engines.script import AwaitTime
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

LOOK_SECONDS: Final = 3.0
"""Seconds between looks at a paused timetable: it may be taken up again at another server."""
LONGEST_SECONDS: Final = 60.0
"""Seconds after which clock and account are read again: the clock may have been set."""
PAUSED: Final = "paused"
"""Key in a job's progress that says who paused it, and when."""


class Timetabling:
    """Waits for the times of runs.

    Args:
        begin: starts units of work.
        clock: unix seconds.
    """

    def __init__(self, begin: UnitOfWorkFactory, clock: Clock) -> None:
        self._begin = begin
        self._clock = clock
        self._waiting: dict[str, asyncio.Event] = {}

    def wake(self, job: str) -> None:
        """Look again at once: a timetable was paused, or taken up again."""
        if job in self._waiting:
            self._waiting[job].set()

    async def wait(self, job: str, effect: AwaitTime, cancel: asyncio.Event) -> JSON:
        """Return what becomes of a run when its time has come; see `AwaitTime`.

        Raises:
            SecureFlowError: `cancelled`; `submitter_gone` if nobody answers for the runs any more.
        """
        event = self._waiting[job] = asyncio.Event()
        ended = asyncio.create_task(_set_after(cancel, event))
        try:
            return await self._answer(job, effect, cancel, event)
        finally:
            ended.cancel()
            self._waiting.pop(job, None)

    async def _answer(
        self, job: str, effect: AwaitTime, cancel: asyncio.Event, event: asyncio.Event
    ) -> JSON:
        while not cancel.is_set():
            event.clear()
            now = self._clock()
            async with self._begin() as unit:
                entity = await unit.jobs.get(job)
                await check_submitter(unit, entity)
            if now < effect.at:
                await _pause(event, min(effect.at - now, LONGEST_SECONDS))
                continue
            paused = entity.progress.get(PAUSED)
            if not paused:
                return {"state": "missed" if now > effect.until else "due"}
            if now > effect.until:
                return {"state": "paused", "by": str(paused["by"])}
            await _pause(event, LOOK_SECONDS)
        raise SecureFlowError("cancelled", Text("Job {job} was cancelled.", job=job))


async def check_submitter(unit: UnitOfWork, job: Job) -> None:
    """Refuse to start a run for whom could not submit it now: an account that is disabled or gone,
    whose organisation is, or which has lost the role.

    Raises:
        SecureFlowError: `submitter_gone`.
    """
    user = await list_first(unit.users, name=job.submitter)
    # The name of an erased account is free again: who has it since then did not submit the job.
    if user is not None and user.created <= job.created and await is_active(unit, user):
        principal = Principal(user.id, user.name, user.organisation, frozenset(user.roles), "")
        try:
            await permit(unit, principal, "job.submit", job.project)
        except SecureFlowError as error:
            if error.code != "forbidden":  # a fault of the database takes nobody's role
                raise
        else:
            return
    raise SecureFlowError(
        "submitter_gone",
        Text(
            "The account of {name}, who submitted {job}, is disabled, gone, or has lost the role "
            "for it: it starts no further runs.",
            name=job.submitter,
            job=job.id,
        ),
        "Somebody who answers for it submits it again.",
    )


async def _pause(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _set_after(cancel: asyncio.Event, event: asyncio.Event) -> None:
    await cancel.wait()
    event.set()
