"""Parts of this server that a script asks like parties: a courier in front of the real one.

They also check that what a remote party's answer refers to has arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from secureflow.application.ports.courier import Courier, PartyStatus, Request
from secureflow.application.running.waiting import WaitObserver, room_patience
from secureflow.domain.errors import DISKS
from secureflow.kit.backoff import Backoff
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import exhausted
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.logthrottle import ThrottledLog

FIRST: Final = 0.1
LONGEST: Final = 2.0
"""Seconds between tries while the disk is full."""

_log = get_logger(__name__)
Handler = Callable[[str, Mapping[str, JSON]], Awaitable[JSON]]
"""Answers a verb with its body; a repetition must get the same answer."""

Arrival = Callable[[Request, JSON], Awaitable[None]]
"""Raises if an answer refers to something that has not arrived: the party's failure."""


class LocalParties:
    """Implements `Courier`: local names are answered here, all others over the links.

    Args:
        remote: the links.
        local: name → its handler.
        arrivals: verb → check of remote parties' answers to it.
        on_wait: called when requests begin and stop to wait for this server's disk.
    """

    def __init__(
        self,
        remote: Courier,
        local: Mapping[str, Handler],
        arrivals: Mapping[str, Arrival] | None = None,
        on_wait: WaitObserver = lambda _request, _error: None,
    ) -> None:
        self.remote = remote
        self._local = dict(local)
        self._arrivals = dict(arrivals or {})
        self._on_wait = on_wait
        self._faults = ThrottledLog(_log)

    async def ask(self, request: Request) -> JSON:
        """See `ports.Courier`."""
        handler = self._local.get(request.party)
        if handler is not None:
            try:
                return await self._answered(handler, request)
            finally:
                self._on_wait(request, None)
        reply = await self.remote.ask(request)
        if request.verb in self._arrivals:
            await self._arrivals[request.verb](request, reply)
        return reply

    async def _answered(self, handler: Handler, request: Request) -> JSON:
        """Ask a part of this server, and retry while its disk is full.

        Unlike a fault of the database, during which nothing can be recorded, this one ends the job
        once it lasts as long as the patience of the request, or of its job.
        """
        began, pauses = asyncio.get_running_loop().time(), Backoff(FIRST, LONGEST)
        while True:
            try:
                return await _handled(handler, request)
            except InfrastructureError as error:
                waited = asyncio.get_running_loop().time() - began
                if error.code not in DISKS:
                    raise
                if waited >= room_patience(request):
                    raise SecureFlowError.from_json(error.as_json()) from error
                self._on_wait(request, error)
                cause = error.__cause__ and repr(error.__cause__)
                self._faults.note("request_waits", request=request.id, code=error.code, cause=cause)
            await asyncio.sleep(pauses.next())

    def status(self, party: str) -> PartyStatus:
        """See `ports.Courier`."""
        return self.remote.status(party)

    def note_engines(self, party: str, engines: dict[str, str]) -> None:
        """See `ports.Courier`."""
        self.remote.note_engines(party, engines)

    @property
    def connected(self) -> int:
        """See `ports.Courier`."""
        return self.remote.connected

    async def withdraw(self, job: str) -> None:
        """See `ports.Courier`; local work ends with its caller."""
        await self.remote.withdraw(job)


async def _handled(handler: Handler, request: Request) -> JSON:
    try:
        return await handler(request.verb, request.body)
    except OSError as error:
        if (known := exhausted(error, "The centre")) is None:
            raise
        raise known from error
