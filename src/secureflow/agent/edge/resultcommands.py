"""The owner's commands about results of computations with others, over the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from secureflow.agent.edge.control import Command
from secureflow.agent.owner.results import KeptOutcomes
from secureflow.kit.canonical import JSON


@dataclass(frozen=True)
class ResultCommands:
    """The commands, over the parts of a running agent.

    Args:
        kept: returns what the agent keeps, under the settings in force.
    """

    kept: Callable[[], KeptOutcomes]

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "results.list": self.every,
            "results.show": self.show,
            "results.remove": self.remove,
            "results.entries": self.entries,
        }

    async def every(self) -> list[dict[str, JSON]]:
        """Return what is kept, the newest first."""
        return await asyncio.to_thread(self.kept().every)

    async def show(self, job: str) -> dict[str, JSON]:
        """Return what is kept of a job, its file compared with what was committed to."""
        return await self.kept().one(job)

    async def entries(self, job: str) -> list[dict[str, JSON]]:
        """Return what the peers of a job signed for its attempts."""
        return await asyncio.to_thread(self.kept().entries, job)

    async def remove(self, job: str) -> dict[str, JSON]:
        """Remove the file of a job."""
        return await asyncio.to_thread(self.kept().remove, job)
