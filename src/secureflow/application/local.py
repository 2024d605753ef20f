"""Parts of this server that a script asks like parties: a courier in front of the real one.

They also say whether what a distant party's answer speaks of is here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from secureflow.application.ports import Courier, PartyStatus, Request

JSON = Any
Handler = Callable[[str, Mapping[str, JSON]], Awaitable[JSON]]
"""Answers a verb with its body; it must answer a repetition alike."""

Arrival = Callable[[Request, JSON], Awaitable[None]]
"""Raises where an answer speaks of something that has not come: it is that party's failure then."""


class LocalParties:
    """Implements `Courier`: local names are answered here, all others over the links.

    Args:
        remote: the links.
        local: name → its handler.
        arrivals: verb → what checks the answers of distant parties to it.
    """

    def __init__(
        self,
        remote: Courier,
        local: Mapping[str, Handler],
        arrivals: Mapping[str, Arrival] | None = None,
    ) -> None:
        self.remote = remote
        self._local = dict(local)
        self._arrivals = dict(arrivals or {})

    async def ask(self, request: Request) -> JSON:
        """See `ports.Courier`."""
        handler = self._local.get(request.party)
        if handler is not None:
            return await handler(request.verb, request.body)
        reply = await self.remote.ask(request)
        if request.verb in self._arrivals:
            await self._arrivals[request.verb](request, reply)
        return reply

    def status(self, party: str) -> PartyStatus:
        """See `ports.Courier`."""
        return self.remote.status(party)

    @property
    def connected(self) -> int:
        """See `ports.Courier`."""
        return self.remote.connected

    async def withdraw(self, job: str) -> None:
        """See `ports.Courier`; local work ends with its asker."""
        await self.remote.withdraw(job)
