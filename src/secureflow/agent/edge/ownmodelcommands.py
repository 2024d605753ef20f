"""The owner's commands about models of its own, over the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from secureflow.agent.edge.control import Command
from secureflow.agent.owner.ownmodels import KeptModels
from secureflow.kit.canonical import JSON


@dataclass(frozen=True)
class OwnModelCommands:
    """The commands, over the parts of a running agent.

    Args:
        kept: returns what the agent keeps, under the settings in force.
    """

    kept: Callable[[], KeptModels]

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {"model.list": self.every, "model.show": self.show, "model.remove": self.remove}

    async def every(self) -> list[dict[str, JSON]]:
        """Return the models of jobs that are over, the newest first."""
        return await asyncio.to_thread(self.kept().every)

    async def show(self, job: str) -> dict[str, JSON]:
        """Return the model of a job, with its figures and those of the shared one."""
        return await asyncio.to_thread(self.kept().one, job)

    async def remove(self, job: str) -> dict[str, JSON]:
        """Remove the model of a job."""
        return await asyncio.to_thread(self.kept().remove, job)
