"""Parts of this server that a script asks like parties: a courier in front of the real one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from secureflow.application.ports import Courier, PartyStatus, Request

JSON = Any
Handler = Callable[[str, Mapping[str, JSON]], Awaitable[JSON]]
"""Answers a verb with its body; it must answer a repetition alike."""


class LocalParties:
    """Implements `Courier`: local names are answered here, all others over the links.

    Args:
        remote: the links.
        local: name → its handler.
    """

    def __init__(self, remote: Courier, local: Mapping[str, Handler]) -> None:
        self.remote = remote
        self._local = dict(local)

    async def ask(self, request: Request) -> JSON:
        """See `ports.Courier`."""
        handler = self._local.get(request.party)
        if handler is None:
            return await self.remote.ask(request)
        return await handler(request.verb, request.body)

    def status(self, party: str) -> PartyStatus:
        """See `ports.Courier`."""
        return self.remote.status(party)

    async def withdraw(self, job: str) -> None:
        """See `ports.Courier`; local work ends with its asker."""
        await self.remote.withdraw(job)
