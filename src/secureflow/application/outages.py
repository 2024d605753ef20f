"""Agents whose link is gone for long, and those whose link is back.

Since when a link is missing is kept in the database, so a restart of the centre neither forgets an
outage nor tells of it twice. Of several servers the one that an agent dialled last decides; one
that no longer runs is stood in for by the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from secureflow.application.listing import list_readable
from secureflow.application.notifying import Notifying
from secureflow.application.occurrences import OWNERS, Audience, Occurrence
from secureflow.application.ports.courier import Courier
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.organisations import Agent
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError

SETTING: Final = "outages"
INTERVAL: Final = 60


class Outages:
    """Looks once a minute for links that are missing.

    Args:
        notifying: tells people.
        courier: knows the links to this server.
        others: the names of the other running servers.
        clock: unix seconds.
        minutes: how long a link is missing before people are told.
    """

    def __init__(
        self,
        notifying: Notifying,
        courier: Courier,
        others: Callable[[], Collection[str]],
        clock: Clock,
        minutes: int = 15,
    ) -> None:
        self._notifying = notifying
        self._courier = courier
        self._others = others
        self._clock = clock
        self._minutes = minutes
        self._next = 0

    async def poll(self) -> None:
        """Look, if a minute has passed since the last time."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + INTERVAL
        try:
            await self._notifying.tell(self._changes)
        except SecureFlowError as error:
            if error.code != "stale_version":  # another server has just done it
                raise

    async def _changes(self, work: UnitOfWork) -> list[Occurrence]:
        stored = await work.setting(SETTING)
        old: dict[str, Any] = dict(stored) if isinstance(stored, dict) else {}
        new: dict[str, Any] = {}
        found: list[Occurrence] = []
        for agent in await list_readable(work.agents):
            if agent.revoked is None:
                found += self._look(agent, old.get(agent.id), new)
        if new != old:
            await work.set_setting(SETTING, new)
        return found

    def _look(self, agent: Agent, known: Any, new: dict[str, Any]) -> list[Occurrence]:
        now = self._clock()
        since, told = known if isinstance(known, list) and len(known) == 2 else (now, False)
        elsewhere = agent.server in self._others()
        if self._courier.status(agent.party).connected:
            return [self._told(agent, "agent_up", int(since), now)] if told else []
        if elsewhere:
            if known is not None:
                new[agent.id] = known
            return []
        late = now - int(since) >= self._minutes * 60
        new[agent.id] = [since, bool(told) or late]
        return [self._told(agent, "agent_down", int(since), now)] if late and not told else []

    def _told(self, agent: Agent, kind: str, since: int, now: int) -> Occurrence:
        own = (agent.organisation,) if agent.organisation else ()
        facts = {
            "agent": agent.id, "organisation": agent.organisation or "operator",
            "minutes": (now - since) // 60,
        }  # fmt: skip
        whom = Audience(own, OWNERS, operators=True)
        return Occurrence(f"{kind}/{agent.id}/{since}", kind, now, facts, whom)
