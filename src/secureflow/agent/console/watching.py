"""Waking every browser whose page is open when something changes at the agent.

One question to the agent waits for all of them together, with the session of one of them and over
a connection of its own; none is asked while nobody watches. Nothing of its answer is passed on:
whoever was woken asks with the own session, which the agent judges, and does not keep alive by it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from secureflow.agent.console.asking import ENDED, AgentSocket, mark_of
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members

MOST: Final = 64
"""Pages that are woken, of all people."""
PERSON: Final = 16
"""Of one person, in all sessions: nobody shuts the others' pages out."""
EACH: Final = 8
"""Of one session: tabs."""
WAIT_SECONDS: Final = 30.0
"""For which a question waits at the agent."""
AWAY_SECONDS: Final = 2.0
"""Between questions while the agent does not answer."""


@dataclass(eq=False)
class Watcher:
    """One open page.

    Args:
        session: of its person.
        person: the id of whose it is.
        woken: set when something changed.
        ended: whether the agent said that the session is over.
    """

    session: str = field(repr=False)
    person: str = ""
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False


class Watching:
    """Asks the agent for all open pages together.

    Args:
        agent: that is asked, over connections that nothing else needs.
        away: seconds between questions while it does not answer.
    """

    def __init__(self, agent: AgentSocket, away: float = AWAY_SECONDS) -> None:
        self._agent = agent
        self._away = away
        self._watchers: list[Watcher] = []
        self._each: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None
        self._marker: str | None = None  # what was answered last: nothing yet, "" is no answer

    @property
    def count(self) -> int:
        """How many pages are open."""
        return len(self._watchers)

    def check(self, session: str, person: str) -> None:
        """Refuse one more page of a session, or of a person.

        Raises:
            SecureFlowError: `rate_limited` with too many open pages.
        """
        own = sum(one.person == person for one in self._watchers)
        if len(self._watchers) >= MOST or own >= PERSON or self._each[mark_of(session)] >= EACH:
            raise SecureFlowError(
                "rate_limited",
                "Too many pages of this service are open.",
                "Close some of them.",
                {"retry_after": 30},
            )

    @contextlib.asynccontextmanager
    async def watcher(self, session: str, person: str) -> AsyncIterator[Watcher]:
        """Wake a page until it leaves; raises as `check`."""
        self.check(session, person)
        mark, watcher = mark_of(session), Watcher(session, person)
        self._watchers.append(watcher)
        self._each[mark] += 1
        if self._task is None:
            self._task = asyncio.create_task(self._ask_on())
        try:
            yield watcher
        finally:
            self._watchers.remove(watcher)
            self._each[mark] -= 1
            if not self._each[mark]:
                del self._each[mark]
            if not self._watchers and self._task is not None:
                self._task.cancel()
                self._task, self._marker = None, None

    async def _ask_on(self) -> None:
        """Ask with the session of somebody who is there; who is not any more is woken."""
        while True:
            watcher = next((one for one in self._watchers if not one.ended), None)
            if watcher is None:
                await asyncio.sleep(self._away)
                continue
            try:
                found = members(
                    await self._agent.ask(
                        "changes", watcher.session, WAIT_SECONDS + 15.0,
                        known=self._marker or "", seconds=WAIT_SECONDS,
                    )
                )  # fmt: skip
            except SecureFlowError as error:
                if error.code in ENDED:
                    watcher.ended = True
                    watcher.woken.set()
                    continue
                self._wake("")
                await asyncio.sleep(self._away)
                continue
            self._wake(str(found.get("marker") or ""))

    def _wake(self, marker: str) -> None:
        if marker != self._marker:
            self._marker = marker
            for one in self._watchers:
                one.woken.set()
