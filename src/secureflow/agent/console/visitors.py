"""Whose session a browser brings, as the agent said a moment ago.

Every page names its person, and most ask the agent something else, too: who it is need not be asked
each time. Nothing is decided by what is kept here: every command carries the session, of which the
agent judges anew, and the page has it demand one of every command (`strict`). Sessions are kept as
digests: this process holds no secret that lasts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.agent.console.asking import PATIENCE, AgentSocket, mark_of
from secureflow.kit.clock import Ticks
from secureflow.kit.reading import members

SECONDS: Final = 15.0
"""For which an answer about a person is used."""
WELCOMED: Final = 600.0
"""For which that to everybody is: an organisation keeps its name."""
MOST: Final = 256
"""Sessions that are remembered."""


@dataclass(frozen=True)
class _Kept:
    person: Mapping[str, Any]
    until: float


class Visitors:
    """Knows who visits.

    Args:
        agent: says whose a session is.
        ticks: seconds of a monotonic clock.
    """

    def __init__(self, agent: AgentSocket, ticks: Ticks) -> None:
        self._agent = agent
        self._ticks = ticks
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._welcome = _Kept({}, 0.0)

    async def welcome(self) -> Mapping[str, Any]:
        """Return what the agent says to everybody (`people.welcome`)."""
        if self._welcome.until <= self._ticks():
            found = members(await self._agent.ask("people.welcome"))
            # Without accounts it is asked each time: the first one may be made any moment.
            lasts = self._ticks() + WELCOMED if found.get("accounts") else 0.0
            self._welcome = _Kept(found, lasts)
        return self._welcome.person

    async def person(
        self, session: str, *, fresh: bool = False, unattended: bool = False
    ) -> Mapping[str, Any]:
        """Return the account of a session (`people.me`).

        Args:
            session: that the browser brought.
            fresh: whether the agent is asked in any case.
            unattended: whether no person asks, but a page by itself.

        Raises:
            SecureFlowError: `session_needed`, `session_expired`, those of `AgentSocket.ask`.
        """
        mark = mark_of(session)
        known = self._kept.get(mark)
        if known is not None and known.until > self._ticks() and not fresh:
            return known.person
        self._kept.pop(mark, None)
        found = members(await self._agent.ask("people.me", session, PATIENCE, unattended))
        self._kept[mark] = _Kept(found, self._ticks() + SECONDS)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return found

    def forget(self, session: str) -> None:
        """Ask anew whose a session is: it ended, or its account changed."""
        self._kept.pop(mark_of(session), None)

    def forget_all(self) -> None:
        """Ask anew of everybody: accounts were changed."""
        self._kept.clear()
