"""The owner's commands about predictions, over the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from secureflow.agent.edge.control import Command
from secureflow.agent.owner.predictions import KeptPredictions
from secureflow.kit.canonical import JSON


@dataclass(frozen=True)
class PredictionCommands:
    """The commands, over the parts of a running agent.

    Args:
        kept: returns what the agent keeps, under the settings in force.
    """

    kept: Callable[[], KeptPredictions]

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "prediction.list": self.every,
            "prediction.show": self.show,
            "prediction.remove": self.remove,
        }

    async def every(self) -> list[dict[str, JSON]]:
        """Return what was made, the newest first."""
        return await asyncio.to_thread(self.kept().every)

    async def show(self, job: str) -> dict[str, JSON]:
        """Return what was made for a job, its file compared with what was committed to."""
        return await self.kept().one(job)

    async def remove(self, job: str) -> dict[str, JSON]:
        """Remove the file of a job."""
        return await asyncio.to_thread(self.kept().remove, job)
