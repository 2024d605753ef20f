"""When tokens were last used, to the minute.

Uses are noted in memory and written together once a minute: a request never waits for a write, and
a token costs at most one a minute. A killed server forgets the last minute.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.domain.users import Token
from secureflow.kit.clock import Clock

EVERY: Final = 60
"""Seconds between two writes."""
MANY: Final = 10_000
"""Maximum number of uses noted between two writes; further ones are not noted."""


class LastUses:
    """Notes uses and writes them.

    Args:
        begin: starts units of work.
        clock: dates uses.
    """

    def __init__(self, begin: UnitOfWorkFactory, clock: Clock) -> None:
        self._begin = begin
        self._clock = clock
        self._noted: dict[str, int] = {}
        self._written = clock()

    def note(self, token: Token) -> None:
        """Note that a token was used now."""
        now = self._clock()
        if now - token.used >= EVERY and (token.id in self._noted or len(self._noted) < MANY):
            self._noted[token.id] = now

    def of(self, token: Token) -> int:
        """Return when a token was last used, in unix seconds; 0 for never."""
        return max(token.used, self._noted.get(token.id, 0))

    async def poll(self) -> None:
        """Write what was noted, if a minute has passed since the last time."""
        now = self._clock()
        if not self._noted or 0 <= now - self._written < EVERY:
            return
        self._written = now
        noted, self._noted = self._noted, {}
        async with self._begin() as work:
            for key, at in noted.items():
                token = await work.tokens.find(key)
                if token is not None and at > token.used:
                    await work.tokens.save(replace(token, used=at))
            await work.commit()
