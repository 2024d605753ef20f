"""The parts that all answers share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from secureflow.agent.console.asking import AgentSocket
from secureflow.agent.console.attempts import Attempts
from secureflow.agent.console.sessions import Cookies
from secureflow.agent.console.visitors import Visitors
from secureflow.agent.console.watching import Watching


@dataclass(frozen=True)
class Site:
    """The parts.

    Args:
        agent: the running agent.
        clock: unix seconds.
        cookies: of browsers.
        attempts: slows logins down.
        visitors: know whose a session is.
        watching: wakes open pages when something changes.
        dialling: questions to the agent at once that make it dial an identity provider.
    """

    agent: AgentSocket
    clock: Callable[[], float]
    cookies: Cookies
    attempts: Attempts
    visitors: Visitors
    watching: Watching
    dialling: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))

    def now(self) -> int:
        """Return the present in unix seconds."""
        return int(self.clock())
