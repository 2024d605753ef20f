"""The parts that all pages share."""

from __future__ import annotations

from dataclasses import dataclass

from secureflow.agent.console.asking import AgentSocket
from secureflow.agent.console.attempts import Attempts
from secureflow.agent.console.rendering import Pages
from secureflow.agent.console.sessions import Cookies


@dataclass(frozen=True)
class Site:
    """The parts.

    Args:
        agent: the running agent.
        pages: makes pages from templates.
        cookies: of browsers.
        attempts: slows logins down.
    """

    agent: AgentSocket
    pages: Pages
    cookies: Cookies
    attempts: Attempts
