"""Limits and what of them is used: of each organisation, and how many jobs run.

What is counted here is what `quotas` counts when it refuses one more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from secureflow.application.access import Principal, require
from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.quotas import Quotas
from secureflow.domain.jobs import JobState
from secureflow.domain.queue import QueueLimits
from secureflow.kit.clock import Clock

MOST: Final = 200
"""Organisations on one page."""


@dataclass(frozen=True)
class Use:
    """How much of a limit is used; `name` as in the settings (`quotas.…`, `queue.…`)."""

    name: str
    used: int
    limit: int


@dataclass(frozen=True)
class OrganisationUse:
    """What an organisation uses of its limits."""

    organisation: str
    limits: list[Use]


@dataclass(frozen=True)
class LimitsView:
    """What organisations use, and the jobs that run in all; `user` are the limits of a person."""

    organisations: list[OrganisationUse]
    queue: list[Use]
    user: list[Use]
    next: str


class Limits:
    """Use cases around limits.

    Args:
        begin: starts units of work.
        quotas, queue: the limits.
        clock: unix seconds.
    """

    def __init__(
        self, begin: UnitOfWorkFactory, quotas: Quotas, queue: QueueLimits, clock: Clock
    ) -> None:
        self._begin = begin
        self._quotas = quotas
        self._queue = queue
        self._clock = clock

    async def of(self, principal: Principal, *, cursor: str = "") -> LimitsView:
        """Return the limits of the caller's organisation and their use; the operator sees all."""
        require(principal, "limit.read")
        async with self._begin() as work:
            if principal.operator:
                page = await work.organisations.list(cursor=cursor, limit=MOST)
                names, following = [one.id for one in page.items], page.next
            else:
                names, following = [principal.organisation], ""
            used = [OrganisationUse(one, await self._used(work, one)) for one in names]
            lines = [one for one in await work.queue.every() if one.started]
            mine = sum(one.user == principal.name for one in lines)
            tokens = await work.tokens.count(user=principal.user, unexpired=self._clock())
        limits = self._queue
        return LimitsView(
            used,
            [Use("queue.running", len(lines), limits.running)] if principal.operator else [],
            [
                Use("queue.of_user", mine, limits.of_user),
                Use("quotas.tokens", tokens, self._quotas.tokens),
            ],
            following,
        )

    async def _used(self, work: UnitOfWork, organisation: str) -> list[Use]:
        limits, now = self._quotas, self._clock()
        lines = await work.queue.every()
        running = sum(one.started for one in lines if one.organisation == organisation)
        uploads = await list_readable(work.uploads, organisation=organisation)
        counted: dict[str, Callable[[], Awaitable[int]]] = {
            "projects": lambda: _projects(work, organisation),
            "datasets": lambda: work.datasets.count(organisation=organisation, state="published"),
            "grants": lambda: work.grants.count(
                organisation=organisation, state="granted", unexpired=now
            ),
            "jobs": lambda: work.jobs.count(organisation=organisation, state=_UNFINISHED),
            "users": lambda: work.users.count(organisation=organisation),
            "enrolments": lambda: _enrolments(work, organisation, now),
            "agents": lambda: work.agents.count(organisation=organisation),
            "bundles": lambda: work.bundles.count(organisation=organisation),
        }
        found = [
            Use(f"quotas.{name}", await count(), getattr(limits, name))
            for name, count in counted.items()
        ]
        found.append(Use("quotas.uploads", len(uploads), limits.uploads))
        size = sum(one.size for one in uploads)
        found.append(Use("quotas.upload_bytes", size, limits.upload_bytes))
        found.append(Use("queue.of_organisation", running, self._queue.of_organisation))
        return found


_UNFINISHED: Final = [state.value for state in JobState if not state.final]


async def _projects(work: UnitOfWork, organisation: str) -> int:
    founded = await list_readable(work.projects, organisation=organisation)
    return sum(one.closed is None for one in founded)


async def _enrolments(work: UnitOfWork, organisation: str, now: int) -> int:
    listed = await list_readable(work.enrolments, organisation=organisation, unexpired=now)
    return sum(one.used is None for one in listed)
