"""Jobs take their places: a driver waits here between its owners' approval and its job's start.

The queue is a table of the database (`domain.queue` says who is next), so several servers share its
limits, and a restarted one goes on where it was: a job that runs already keeps its place, one that
waits keeps its time of arrival. A place is given in a transaction that locks the queue; it is given
back in the transaction that ends or pauses the job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.queue import QueuedJob, QueueLimits, Standing, due, standing
from secureflow.domain.specs.parts import has_own_turn
from secureflow.kit.clock import Clock
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

LOCK: Final = "queue"
WHO: Final = "queue"
"""The name under which a job's watchers are told that it waits for its turn."""
_PLACED: Final = frozenset({JobState.APPROVED, JobState.ADMITTED, JobState.RUNNING})
_FULL: Final = {
    "running": "the server runs as many jobs as it may",
    "of_organisation": "its organisation runs as many jobs as it may",
    "of_user": "its submitter runs as many jobs as one person may",
}

_log = get_logger(__name__)


class JobQueue:
    """The queue, as this server's drivers see it.

    Args:
        begin: starts units of work.
        limits: the places.
        clock: unix seconds.
        waits: called with a job id, `WHO`, and what it waits for (None when the wait ends).
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        limits: QueueLimits,
        clock: Clock,
        waits: Callable[[str, str, SecureFlowError | None], None] = lambda _job, _who, _error: None,
    ) -> None:
        self._begin = begin
        self._limits = limits
        self._clock = clock
        self._waits = waits
        self._placed: set[str] = set()
        self._waiting: dict[str, asyncio.Event] = {}
        self._looking: asyncio.Task[None] | None = None

    async def turn(self, job: str, state: JobState, cancel: asyncio.Event) -> None:
        """Return when the job has its place, or is cancelled; it waits only while it is approved.

        Raises:
            InfrastructureError: the queue cannot be read or written now.
        """
        if job in self._placed or state not in _PLACED:
            return
        event = self._waiting[job] = asyncio.Event()
        ended = asyncio.create_task(_set_after(cancel, event))
        try:
            if await self._enter(job, state):
                self._placed.add(job)
                return
            while job not in self._placed and not cancel.is_set():
                await event.wait()
                event.clear()
        finally:
            ended.cancel()
            self._waiting.pop(job, None)
            self._waits(job, WHO, None)

    async def leave(self, unit: UnitOfWork, job: str) -> None:
        """Give a job's place back, in the transaction that ends or pauses it."""
        await unit.queue.remove(job)

    def left(self, job: str) -> None:
        """Let others take the place of a job that ended or paused: that is durable now."""
        self._placed.discard(job)
        if self._waiting and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())

    def forget(self, job: str) -> None:
        """Forget the place of a job that another server drives: it may pause there, and give it up.

        If it comes back here it asks for its place again.
        """
        self._placed.discard(job)

    async def poll(self) -> None:
        """Start what is due: a time has come, or another server gave a place back."""
        if self._waiting:
            await self._start_due()

    async def stop(self) -> None:
        """End what looks for the next job."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _enter(self, job: str, state: JobState) -> bool:
        """Add the job to the queue, and tell whether it has a place; a part needs none."""
        async with self._begin() as unit:
            await unit.lock(LOCK)
            entity = await unit.jobs.get(job)
            if not has_own_turn(entity.spec):
                return True
            line = await unit.queue.of(job)
            if line is None:
                line = line_of(entity, self._clock(), started=state is not JobState.APPROVED)
                await unit.queue.add(line)
            lines = await self._give(unit)
            await unit.commit()
        self._tell(lines)
        return any(one.started for one in lines if one.job == job)

    async def _give(self, unit: UnitOfWork) -> list[QueuedJob]:
        """Give every free place to whom it is due; return the queue afterwards."""
        lines = {one.job: one for one in await unit.queue.every()}
        for one in due(lines.values(), self._limits, self._clock()):
            await unit.queue.save(one)
            lines[one.job] = one
        return list(lines.values())

    async def _start_due(self) -> None:
        async with self._begin() as unit:
            await unit.lock(LOCK)
            lines = await self._give(unit)
            await unit.commit()
        self._tell(lines)

    async def _look(self) -> None:
        try:
            await self._start_due()
        except InfrastructureError as error:  # the next poll looks again
            _log.warning("queue_not_read", code=error.code)

    def _tell(self, lines: Sequence[QueuedJob]) -> None:
        """Wake the drivers of started jobs, and tell why the others wait."""
        for one in lines:
            event = self._waiting.get(one.job)
            if event is None:
                continue
            if one.started:
                self._placed.add(one.job)
                event.set()
            else:
                at = standing(lines, one.job, self._limits, self._clock())
                self._waits(one.job, WHO, waiting_for(at))


def line_of(job: Job, now: int, *, started: bool = False) -> QueuedJob:
    """Return a job's line of the queue as it enters it."""
    not_before = job.spec.get("not_before") or 0
    return QueuedJob(
        job.id, job.organisation, job.submitter, job.priority, now, int(not_before), started
    )


def waiting_for(at: Standing) -> SecureFlowError:
    """Return what watchers of a waiting job are told."""
    if at.not_before:
        return SecureFlowError(
            "scheduled",
            "It starts at its time.",
            "Cancel it and submit it without --at to run it now.",
            {"not_before": at.not_before},
        )
    reason = _FULL.get(at.full, "others are before it")
    return SecureFlowError(
        "queued",
        Text("It waits for its turn: {reason}.", reason=reason),
        "See who is before it: secureflow queue list.",
        {"ahead": at.ahead},
    )


async def _set_after(cancel: asyncio.Event, event: asyncio.Event) -> None:
    await cancel.wait()
    event.set()
