"""Tells the centre which engines this agent can run: in its greeting, and again when that changes.

An owner installs an engine while the agent runs. So its folder is looked at from time to time, and
jobs that need the engine are no longer refused when they are submitted.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, Protocol

from secureflow.agent.job.context import RunningEngines
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

INTERVAL: Final = 10.0
"""Seconds between two looks."""


class Calling(Protocol):
    """The link to the centre (`adapters.link.Link`)."""

    async def call(self, kind: str, body: dict[str, JSON]) -> JSON:
        """Call the centre."""


class EngineWatch:
    """Watches this agent's engines.

    Args:
        link: the link to the centre.
        engines: this agent's.
    """

    def __init__(self, link: Calling, engines: RunningEngines) -> None:
        self._link = link
        self.engines = engines
        self.here = engines.here()
        """Name → version, for the greeting."""

    async def run(self) -> None:
        """Look periodically, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.look()

    async def look(self) -> None:
        """Look once, and tell the centre of a change; a link that is down greets it anew."""
        found = await asyncio.to_thread(self.engines.here)
        if found != self.here:
            self.here = found
            with contextlib.suppress(SecureFlowError):  # a centre of an older version does without
                await self._link.call("engines", {"engines": dict(found)})
