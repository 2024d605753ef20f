"""Tells the centre deeds that it has not received, and looks whether what it shows may stand."""

from __future__ import annotations

from secureflow.adapters.link.missedends import CentreLink, keep_asking
from secureflow.agent.edge.revenuecommands import RevenueCommands
from secureflow.agent.edge.wiring import Assembly


class RevenueWatch:
    """Looks after settlements while there is a link.

    Args:
        link: to the centre.
        assembly: the agent.
    """

    def __init__(self, link: CentreLink, assembly: Assembly) -> None:
        self._link = link
        self._commands = RevenueCommands(assembly, link)

    async def run(self) -> None:
        """Exchange at the first connection, and then periodically, until cancelled."""
        await keep_asking(self._link, self._commands.exchange)
