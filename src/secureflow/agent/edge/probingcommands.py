"""The owner's commands about tested ids, over the control socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from secureflow.agent.edge.control import Command
from secureflow.agent.edge.wiring import Assembly
from secureflow.agent.job.context import Fetching
from secureflow.agent.owner.budgetrecovery import BudgetRecovery
from secureflow.agent.owner.probingrecovery import ProbingRecovery
from secureflow.kit.canonical import JSON


@dataclass(frozen=True)
class ProbingCommands:
    """The commands, over a running agent.

    Args:
        assembly: the agent.
        link: its link.
    """

    assembly: Assembly
    link: Fetching

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {"probing.list": self.every, "probing.settle": self.settle}

    async def every(self) -> list[dict[str, JSON]]:
        """Return every domain's limit, what of it is tested and remains, and the lists."""
        return await self.assembly.context.probing.report()

    async def settle(self, domain: str, tested: int | None = None) -> dict[str, JSON]:
        """Unlock a restored agent's domain with what was tested since the backup."""
        context = self.assembly.context
        budgets = BudgetRecovery(
            context.budgets, context.store, context.party, context.key.public,
            self.link.call, context.clock,
        )  # fmt: skip
        recovery = ProbingRecovery(context.probing, budgets, context.store, context.clock)
        try:
            settled = await recovery.settle(domain, tested)
        finally:
            await self.assembly.rollback.forget_ended_jobs()  # if a rollback was found
        if tested is not None:
            self.assembly.inbox.wake_all()
        return settled
