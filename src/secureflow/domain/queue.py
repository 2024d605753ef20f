"""The queue: which approved jobs may run now, and which wait for their turn.

A job whose owners have approved it takes a *place* before it does anything with their data, and
keeps it until it ends. Places are limited in all, per organisation and per person. Of the jobs
that wait, the one of the highest priority goes first; of equal ones, that of the organisation with
the fewest running jobs, then that of the person with the fewest, then the one that has waited
longest. A job that waits gains a step of priority each hour, so that none waits for ever.

Jobs that another job starts (the points of a sweep) run in the place of that one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from pydantic import Field

from secureflow.domain.specs.base import STRICT

STEP_SECONDS: Final = 3600
"""Seconds of waiting that count as much as one step of priority."""

Places = Annotated[int, Field(ge=1, le=1_000_000)]


@dataclass(frozen=True)
class QueueLimits:
    """How many jobs may run at a time.

    Args:
        running: in all.
        of_organisation: of one organisation.
        of_user: of one person.
    """

    __pydantic_config__ = STRICT
    running: Places = 64
    of_organisation: Places = 32
    of_user: Places = 16


UNLIMITED: Final = QueueLimits(*(1_000_000,) * 3)


@dataclass(frozen=True)
class QueuedJob:
    """One line of the queue.

    Args:
        job: its id.
        organisation: whose it is.
        user: who submitted it, by name.
        priority: from 0 to 9.
        since: unix seconds since when it waits.
        not_before: unix seconds before which it does not start; 0 for none.
        started: whether it has its place.
    """

    job: str
    organisation: str
    user: str
    priority: int
    since: int
    not_before: int = 0
    started: bool = False


@dataclass(frozen=True)
class Standing:
    """Where a waiting job stands.

    Args:
        ahead: how many jobs that could start now would be started before it.
        running: how many jobs run, in all, of its organisation, and of its person.
        full: which limit holds it up: `running`, `of_organisation`, `of_user`; "" if it waits for
            its time, or starts at the next look.
        not_before: unix seconds before which it does not start; 0 if that has passed.
    """

    ahead: int
    running: tuple[int, int, int]
    full: str = ""
    not_before: int = 0


def due(jobs: Iterable[QueuedJob], limits: QueueLimits, now: int) -> list[QueuedJob]:
    """Return the waiting jobs that take a place now, in their order, marked as started.

    Args:
        jobs: the whole queue.
        limits: the places.
        now: unix seconds.
    """
    lines = list(jobs)
    places, chosen = _Places(one for one in lines if one.started), []
    waiting = [one for one in lines if not one.started and one.not_before <= now]
    while waiting:
        fitting = [one for one in waiting if not places.full(one, limits)]
        if not fitting:
            break
        first = min(fitting, key=lambda one: places.order(one, now))
        waiting.remove(first)
        places.take(first)
        chosen.append(replace(first, started=True))
    return chosen


def standing(jobs: Sequence[QueuedJob], job: str, limits: QueueLimits, now: int) -> Standing:
    """Return where a waiting job stands; the job must be in the queue."""
    own = next(one for one in jobs if one.job == job)
    places = _Places(one for one in jobs if one.started)
    ready = [one for one in jobs if not one.started and one.not_before <= now]
    order = places.order(own, now)
    ahead = sum(one.job != job and places.order(one, now) < order for one in ready)
    waits = own.not_before if own.not_before > now else 0
    return Standing(ahead, places.counts(own), places.full(own, limits), waits)


class _Places:
    """How many places are taken."""

    def __init__(self, started: Iterable[QueuedJob]) -> None:
        self._all = 0
        self._of: Counter[str] = Counter()
        self._users: Counter[tuple[str, str]] = Counter()
        for one in started:
            self.take(one)

    def take(self, one: QueuedJob) -> None:
        self._all += 1
        self._of[one.organisation] += 1
        self._users[one.organisation, one.user] += 1

    def counts(self, one: QueuedJob) -> tuple[int, int, int]:
        user = self._users[one.organisation, one.user]
        return self._all, self._of[one.organisation], user

    def full(self, one: QueuedJob, limits: QueueLimits) -> str:
        """Return which limit holds a job up, or ""."""
        every, of, user = self.counts(one)
        if every >= limits.running:
            return "running"
        if of >= limits.of_organisation:
            return "of_organisation"
        return "of_user" if user >= limits.of_user else ""

    def order(self, one: QueuedJob, now: int) -> tuple[int, int, int, int, str]:
        _, of, user = self.counts(one)
        waited = max(0, now - max(one.since, one.not_before))
        return -(one.priority + waited // STEP_SECONDS), of, user, one.since, one.job
